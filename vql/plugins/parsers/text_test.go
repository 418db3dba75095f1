package parsers

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"satchel/vql"
)

func TestParseCrontab(t *testing.T) {
	t.Parallel()
	const system = "# comment\nSHELL=/bin/sh\n PATH = \"/bin:/usr/bin\"\n\n17 *\t* * *  root  cd / && run-parts /etc/cron.hourly\n@reboot ann /home/ann/x.sh --a=b\nMAILTO=x\n*/5 1,2 1-7 jan mon bob a = b\n1 2 3\n"
	got := over(t, system, "SELECT Event, Minute, Hour, DayOfMonth, Month, DayOfWeek, User, Command, Environment, Line FROM parse_crontab(filename=T, accessor='data', system=TRUE)")
	want := []string{
		`{"Event":"","Minute":"17","Hour":"*","DayOfMonth":"*","Month":"*","DayOfWeek":"*","User":"root","Command":"cd / && run-parts /etc/cron.hourly","Environment":{"SHELL":"/bin/sh","PATH":"/bin:/usr/bin"},"Line":5}`,
		`{"Event":"@reboot","Minute":"","Hour":"","DayOfMonth":"","Month":"","DayOfWeek":"","User":"ann","Command":"/home/ann/x.sh --a=b","Environment":{"SHELL":"/bin/sh","PATH":"/bin:/usr/bin"},"Line":6}`,
		`{"Event":"","Minute":"*/5","Hour":"1,2","DayOfMonth":"1-7","Month":"jan","DayOfWeek":"mon","User":"bob","Command":"a = b","Environment":{"SHELL":"/bin/sh","PATH":"/bin:/usr/bin","MAILTO":"x"},"Line":8}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	got = over(t, "0 0 * * * VAR=1 cmd\n@daily a\n", "SELECT Minute, User, Command, Event FROM parse_crontab(filename=T, accessor='data')")
	if d := cmp.Diff([]string{`{"Minute":"0","User":"","Command":"VAR=1 cmd","Event":""}`, `{"Minute":"","User":"","Command":"a","Event":"@daily"}`}, got); d != "" {
		t.Error(d)
	}
}

func TestParseUnit(t *testing.T) {
	t.Parallel()
	const unit = "[Unit]\nDescription=A \\\n# in between\n  long one\n; x\n[Service]\nExecStart=/bin/a --x=y\nExecStart=\nbroken\nEnvironment=A=1\nLast=\\"
	q := &query{env: []vql.Var{{Name: "T", Value: unit}}}
	got := q.must(t, "SELECT Section, Key, Value, Line FROM parse_systemd_unit(filename=T, accessor='data')")
	want := []string{
		`{"Section":"Unit","Key":"Description","Value":"A long one","Line":2}`,
		`{"Section":"Service","Key":"ExecStart","Value":"/bin/a --x=y","Line":7}`,
		`{"Section":"Service","Key":"ExecStart","Value":"","Line":8}`,
		`{"Section":"Service","Key":"Environment","Value":"A=1","Line":10}`,
		`{"Section":"Service","Key":"Last","Value":"","Line":11}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(q.logs) != 1 || !strings.Contains(q.logs[0], "line 9") {
		t.Errorf("logs %q", q.logs)
	}
	got = over(t, "a = 1\n[s]\nflag\nb=x\\\n", "SELECT Section, Key, Value FROM parse_ini(filename=T, accessor='data')")
	if d := cmp.Diff([]string{`{"Section":"","Key":"a","Value":"1"}`, `{"Section":"s","Key":"flag","Value":""}`, `{"Section":"s","Key":"b","Value":"x\\"}`}, got); d != "" {
		t.Error(d)
	}
}

func TestUnitContinuationIsBounded(t *testing.T) {
	t.Parallel()
	u := &settings{continued: true, take: func(*settingRow) error { return nil }}
	var err error
	for i := 0; i < 100_000 && err == nil; i++ {
		err = u.line(int64(i), strings.Repeat("x", 50)+`\`, func(error) {})
	}
	if !errors.Is(err, ErrLimit) {
		t.Errorf("error %v", err)
	}
}

func TestParseControl(t *testing.T) {
	t.Parallel()
	const status = "Package: bash\nStatus: install ok installed\nDescription: shell\n A shell.\n .\n End\n\n\n continues nothing\nno name\nP:apk\nF:a\nF:b\n"
	q := &query{env: []vql.Var{{Name: "T", Value: status}}}
	got := q.must(t, "SELECT * FROM parse_control(filename=T, accessor='data')")
	want := []string{`{"Package":"bash","Status":"install ok installed","Description":"shell\nA shell.\n\nEnd"}`, `{"P":"apk","F":"a\nb"}`}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(q.logs) != 2 {
		t.Errorf("logs %q", q.logs)
	}
}

func TestControlIsBounded(t *testing.T) {
	t.Parallel()
	warned, rows := 0, 0
	c := &control{warn: func(error) { warned++ }, take: func(d *vql.Dict) error {
		rows++
		if d.Len() > maxFields+1 {
			t.Errorf("%d fields", d.Len())
		}
		return nil
	}}
	for i := range 200_000 {
		if err := c.line(int64(i), []byte("F"+strings.Repeat("a", i%2000)+": x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.flush(); err != nil || warned != 1 || rows != 1 {
		t.Errorf("%v, %d warnings, %d rows", err, warned, rows)
	}
}

func TestParseAuditd(t *testing.T) {
	t.Parallel()
	const log = `type=SYSCALL msg=audit(1364481363.243:24287): arch=c000003e syscall=2 exe="/bin/cat" comm=6361742D78 key="watch" a0=61` + "\n" +
		`node=web type=EXECVE msg=audit(1364481363.243:24287): argc=2 a0="cat" a1=612062` + "\n" +
		`type=PROCTITLE msg=audit(1364481363.243:24287): proctitle=636174006100` + "\n" +
		`type=USER_LOGIN msg=audit(1364481363.243:24288): pid=1 uid=0 msg='op=login acct="root" res=failed'` + "\x1d" + `UID="root"` + "\n" +
		"type=X msg=audit(9e99:1): a=b\nnonsense\n"
	q := &query{env: []vql.Var{{Name: "T", Value: log}}}
	got := q.must(t, "SELECT * FROM parse_auditd(filename=T, accessor='data')")
	want := []string{
		`{"Timestamp":"2013-03-28T14:36:03.243Z","Sequence":24287,"Type":"SYSCALL","Node":"","Data":{"arch":"c000003e","syscall":"2","exe":"/bin/cat","comm":"cat-x","key":"watch","a0":"61"}}`,
		`{"Timestamp":"2013-03-28T14:36:03.243Z","Sequence":24287,"Type":"EXECVE","Node":"web","Data":{"argc":"2","a0":"cat","a1":"a b"}}`,
		`{"Timestamp":"2013-03-28T14:36:03.243Z","Sequence":24287,"Type":"PROCTITLE","Node":"","Data":{"proctitle":"cat a"}}`,
		`{"Timestamp":"2013-03-28T14:36:03.243Z","Sequence":24288,"Type":"USER_LOGIN","Node":"","Data":{"pid":"1","uid":"0","op":"login","acct":"root","res":"failed","UID":"root"}}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(q.logs) != 2 {
		t.Errorf("logs %q", q.logs)
	}
}

func FuzzText(f *testing.F) {
	f.Add("17 * * * * root cmd\nA=b\n@reboot x\n")
	f.Add("[Unit]\nA=b\\\nc\n")
	f.Add("type=EXECVE msg=audit(1.2:3): a0=\"x\" msg='a=b'")
	f.Add("Package: x\n y\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		lines := strings.Split(in, "\n")
		c := &crontab{system: len(in)%2 == 0, env: vql.NewDict()}
		u := &settings{continued: true, take: func(*settingRow) error { return nil }}
		p := &control{warn: func(error) {}, take: func(*vql.Dict) error { return nil }}
		for i, line := range lines {
			if row, err := c.line(line); err == nil && row != nil && row.Command == "" {
				t.Fatalf("%q gives an entry without command", line)
			}
			_ = u.line(int64(i), line, func(error) {})
			_ = p.line(int64(i), []byte(line))
			if row, err := parseAudit(line); err == nil && row.Timestamp.Year() > 9999 {
				t.Fatalf("%q gives %v", line, row.Timestamp)
			}
		}
	})
}
