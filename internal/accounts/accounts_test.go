package accounts

import (
	"errors"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestUsers(t *testing.T) {
	t.Parallel()
	in := "root:x:0:0:root:/root:/bin/bash\n" +
		"# comment\n\n+nis::::::\n" +
		"short:x:1\n" +
		"toor::0:0::/root:/bin/sh\r\n" +
		"big:x:4294967295:4294967294:a,b:/home/b\xff:/bin/a:b\n" +
		"neg:x:-1:0::/:/bin/sh\n" +
		strings.Repeat("y", MaxLine+5) + "\n" +
		"last:x:7:8:::"
	var users []User
	var lines []int
	for u, err := range Users(strings.NewReader(in)) {
		var bad *LineError
		if errors.As(err, &bad) {
			lines = append(lines, bad.Line)
			continue
		}
		users = append(users, u)
	}
	want := []User{
		{"root", "x", 0, 0, "root", "/root", "/bin/bash"},
		{"toor", "", 0, 0, "", "/root", "/bin/sh"},
		{"big", "x", 4294967295, 4294967294, "a,b", "/home/b\xff", "/bin/a:b"},
		{"last", "x", 7, 8, "", "", ""},
	}
	if d := cmp.Diff(want, users); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]int{5, 8, 9}, lines); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("root", Names(strings.NewReader(in))[0]); d != "" {
		t.Error(d)
	}
}

func TestUsersReadError(t *testing.T) {
	t.Parallel()
	var got error
	for _, err := range Users(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("a:x:1:1:::\n")))) {
		got = err
	}
	if !errors.Is(got, iotest.ErrTimeout) {
		t.Errorf("error %v, want the reader's", got)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	var got []Group
	for g, err := range Groups(strings.NewReader("sudo:x:27:ann,bob\nempty:x:5:\nbare:x:6\nbad:x:z:\n")) {
		if err == nil {
			got = append(got, g)
		}
	}
	want := []Group{{"sudo", "x", 27, []string{"ann", "bob"}}, {Name: "empty", Password: "x", GID: 5}, {Name: "bare", Password: "x", GID: 6}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestShadows(t *testing.T) {
	t.Parallel()
	var got []Shadow
	var errs int
	for s, err := range Shadows(strings.NewReader("ann:$y$j9T$abc:19000:0:99999:7:::\nbob:!:::::::\ncid:*\nbad:x:zz:\n")) {
		if err != nil {
			errs++
			continue
		}
		got = append(got, s)
	}
	want := []Shadow{
		{Name: "ann", Hash: "$y$j9T$abc", LastChange: time.Date(2022, 1, 8, 0, 0, 0, 0, time.UTC), MaxDays: 99999, WarnDays: 7, GraceDays: -1},
		{Name: "bob", Hash: "!", MinDays: -1, MaxDays: -1, WarnDays: -1, GraceDays: -1},
		{Name: "cid", Hash: "*", MinDays: -1, MaxDays: -1, WarnDays: -1, GraceDays: -1},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if errs != 1 {
		t.Errorf("%d bad lines, want 1", errs)
	}
}

func TestScheme(t *testing.T) {
	t.Parallel()
	for hash, want := range map[string]string{
		"": "none", "!": "locked", "*": "locked", "!!": "locked", "$1$a": "md5", "$2b$10$": "bcrypt", "$5$": "sha256",
		"!$6$x": "sha512", "$y$j": "yescrypt", "$gy$": "gost-yescrypt", "$7$": "scrypt", "abcdefghijklm": "des", "x": "unknown",
	} {
		if got := Scheme(hash); got != want {
			t.Errorf("Scheme(%q) = %q, want %q", hash, got, want)
		}
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/bash\n")
	f.Add("ann:$y$j9T$abc:19000:0:99999:7:::\n:::\x00\n")
	f.Fuzz(func(t *testing.T, in string) {
		n := strings.Count(in, "\n") + 1
		count := 0
		for range Users(strings.NewReader(in)) {
			count++
		}
		for range Groups(strings.NewReader(in)) {
			count++
		}
		for s, err := range Shadows(strings.NewReader(in)) {
			count++
			if err == nil && s.LastChange.Year() > 9999 {
				t.Errorf("time beyond what JSON can hold: %v", s.LastChange)
			}
		}
		if count > 3*n {
			t.Errorf("%d records from %d lines", count, n)
		}
	})
}
