package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"satchel/cmd/ingest/report"
	"satchel/container"
	"satchel/internal/flow"
)

// evidence is a collection in memory.
type evidence struct {
	rows    map[string][]string
	order   []string
	uploads []container.UploadInfo
	reports []flow.Report
	logs    []flow.LogLine
	broken  bool
}

func (e *evidence) Info() container.Info { return container.Info{} }

func (e *evidence) Sources() []container.SourceInfo {
	var out []container.SourceInfo
	for _, name := range e.order {
		out = append(out, container.SourceInfo{Name: name, Rows: int64(len(e.rows[name]))})
	}
	return out
}

func (e *evidence) Rows(_ context.Context, source string) (io.ReadCloser, error) {
	if e.broken {
		return nil, errors.New("bad block")
	}
	return io.NopCloser(strings.NewReader(strings.Join(e.rows[source], "\n"))), nil
}

func list[T any](items []T, broken bool) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, i := range items {
			if !yield(i, nil) {
				return
			}
		}
		if broken {
			var zero T
			yield(zero, errors.New("bad block"))
		}
	}
}

func (e *evidence) Uploads(context.Context) iter.Seq2[container.UploadInfo, error] {
	return list(e.uploads, e.broken)
}

func (e *evidence) Reports(context.Context) iter.Seq2[flow.Report, error] {
	return list(e.reports, e.broken)
}

func (e *evidence) Logs(context.Context) iter.Seq2[flow.LogLine, error] {
	return list(e.logs, e.broken)
}

func build(t *testing.T, rec flow.Record, e *evidence) (r *report.Report, text, page string) {
	t.Helper()
	for name := range e.rows {
		if e.order == nil || len(e.order) < len(e.rows) {
			e.order = append(e.order, name)
		}
	}
	r, err := report.Build(t.Context(), rec, e)
	if err != nil {
		t.Fatal(err)
	}
	var a, b bytes.Buffer
	if err := r.WriteText(&a); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := json.Marshal(r); err != nil {
		t.Fatal(err)
	}
	return r, a.String(), b.String()
}

func TestHighlights(t *testing.T) {
	t.Parallel()
	e := &evidence{rows: map[string][]string{
		"Linux.Sys.Pslist": {
			`{"Pid":1,"Name":"init","Exe":"/sbin/init","Deleted":false}`,
			`{"Pid":66,"Name":"kworkerd","Exe":"/tmp/.x/kworkerd","Deleted":true}`,
			`{"Pid":67,"Name":"old","Exe":"/usr/bin/old (deleted)"}`,
			`{"Pid":68,"Name":"mem","Exe":"/memfd:x"}`,
			`{"Pid":69,"Name":"t","Exe":"/dev/shm/t","Notes":["traced"]}`,
		},
		"Linux.Network.Netstat": {
			`{"Type":"TCP","Status":"LISTEN","LocalAddr":"0.0.0.0","LocalPort":22,"Name":"sshd"}`,
			`{"Type":"TCP","Status":"ESTAB","LocalPort":22,"RemoteAddr":"203.0.113.9","RemotePort":4444,"Name":"nc"}`,
			`{"Type":"TCP","Status":"ESTAB","LocalPort":22,"RemoteAddr":"10.0.0.9","RemotePort":5,"Name":"internal"}`,
			`{"Type":"TCP","Status":"ESTAB","LocalPort":22,"RemoteAddr":"::ffff:127.0.0.1","RemotePort":5,"Name":"loop"}`,
		},
		"Linux.Sys.Users":    {`{"User":"root","Uid":0,"Shell":"/bin/bash"}`, `{"User":"toor","Uid":0,"Shell":"/bin/sh"}`, `{"User":"www","Uid":33,"Shell":"/usr/sbin/nologin"}`},
		"Linux.Proc.Modules": {`{"Name":"ext4","Taint":"","Hidden":false}`, `{"Name":"rk","Taint":"OE","Hidden":true}`},
	}}
	r, text, page := build(t, flow.Record{Host: flow.Host{Hostname: "h"}}, e)
	want := map[string]string{
		"Running programs whose file was deleted":                      "66 67",
		"Programs that run from temporary directories or memory":       "68 69",
		"Marked by the artifacts themselves":                           `["traced"]`,
		"Kernel modules that hide, or that are not the distribution's": "rk",
		"Accounts with uid 0 besides root":                             "toor",
		"Listening sockets":                                            "sshd",
		"Connections to other networks":                                "203.0.113.9",
		"Accounts that can log in":                                     "root toor",
	}
	for _, h := range r.Highlights {
		var first []string
		for _, row := range h.Rows {
			cell := row[0]
			if h.Title == "Listening sockets" {
				cell = row[len(row)-1]
			}
			first = append(first, cell)
		}
		if got := strings.Join(first, " "); got != want[h.Title] {
			t.Errorf("%s: %q, want %q", h.Title, got, want[h.Title])
		}
		if !strings.Contains(text, h.Title) {
			t.Errorf("the text has no %q", h.Title)
		}
		delete(want, h.Title)
	}
	for title := range want {
		t.Errorf("%s was not found", title)
	}
	if !strings.Contains(page, "kworkerd") || strings.Contains(text, "internal") {
		t.Error("page or text show other rows")
	}
}

func TestLatestLogins(t *testing.T) {
	t.Parallel()
	var rows []string
	for i := range 500 {
		rows = append(rows, fmt.Sprintf(`{"User":"u%d","Time":"2026-01-01T%02d:%02d:00Z"}`, i, (i*7%500)/60, (i*7%500)%60))
	}
	r, _, _ := build(t, flow.Record{}, &evidence{rows: map[string][]string{"Linux.Sys.LastUserLogin": rows}})
	if len(r.Highlights) != 1 || r.Highlights[0].Total != 500 {
		t.Fatalf("highlights %+v", r.Highlights)
	}
	h := r.Highlights[0]
	for i, row := range h.Rows {
		want := fmt.Sprintf("2026-01-01T%02d:%02d:00Z", (499-i)/60, (499-i)%60)
		if row[0] != want {
			t.Fatalf("login %d is of %s, want %s", i, row[0], want)
		}
	}
}

// TestHostileTexts puts markup, control and direction characters everywhere.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	const evil = "<script>alert(1)</script>\" onx='y' \x1b[2J\u202e\x00{{.}}javascript:x"
	quoted, err := json.Marshal(evil)
	if err != nil {
		t.Fatal(err)
	}
	rec := flow.Record{
		Status: evil, Case: evil, Notes: evil, OriginalClientID: evil, OriginalFlowID: evil,
		Host:     flow.Host{Hostname: evil, FQDN: evil, OS: evil, RawID: evil, Info: json.RawMessage(`{` + string(quoted) + `:` + string(quoted) + `}`)},
		Tool:     flow.Tool{Name: evil, Version: evil, SHA256: evil},
		Request:  flow.Request{Artifacts: []string{evil}, Specs: []flow.Spec{{Artifact: evil, Parameters: []flow.Param{{Key: evil, Value: evil}}}}},
		Outcomes: []flow.OutcomeStat{{Outcome: flow.Outcome(evil), Items: 1}},
		Content:  flow.Content{SHA256: evil, SpoolSHA256: evil, From: evil},
		Problems: []flow.Problem{{Member: evil, Problem: evil}},
	}
	e := &evidence{
		rows:    map[string][]string{"Linux.Sys.Users": {`{"User":` + string(quoted) + `,"Uid":0,"Shell":` + string(quoted) + `,` + string(quoted) + `:1}`}},
		uploads: []container.UploadInfo{{Path: evil, SHA256: evil, Error: evil}},
		reports: []flow.Report{{Source: evil, Target: evil, Outcome: flow.Failed, Detail: evil}, {Outcome: flow.Outcome(evil)}},
		logs:    []flow.LogLine{{Level: flow.LevelWarn, Source: evil, Message: evil}},
	}
	_, text, page := build(t, rec, e)
	for _, bad := range []string{"<script", "\x1b", "\u202e", "\x00", `" onx=`} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
	for _, bad := range []string{"\x1b", "\u202e", "\x00"} {
		if strings.Contains(text, bad) {
			t.Errorf("the text has %q", bad)
		}
	}
	for _, outside := range []string{"http:", "https:", "<link", "<img", "src=", "@import", "url("} {
		if strings.Contains(page, outside) {
			t.Errorf("the page needs something from outside: %s", outside)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	e := &evidence{rows: map[string][]string{}}
	for i := range 30_000 {
		e.reports = append(e.reports, flow.Report{Source: "S", Target: fmt.Sprint(i), Outcome: flow.Collected})
		e.uploads = append(e.uploads, container.UploadInfo{Path: fmt.Sprint(i), Complete: true, StoredSize: 1})
		e.logs = append(e.logs, flow.LogLine{Level: flow.LevelError, Message: strings.Repeat("x", 1000)})
	}
	e.reports[29_999].Outcome = flow.Denied
	wide := make([]string, 0, 500)
	for i := range 500 {
		wide = append(wide, fmt.Sprintf(`"c%d":%q`, i, strings.Repeat("y", 1000)))
	}
	for i := range 100 {
		e.rows["Linux.Sys.Users"] = append(e.rows["Linux.Sys.Users"], `{"User":"u`+fmt.Sprint(i)+`","Shell":"/bin/sh",`+strings.Join(wide, ",")+`}`)
	}
	r, text, page := build(t, flow.Record{}, e)
	if r.Targets != 30_000 || r.ItemsTotal != 0 || r.ItemsLeftOut() != 30_000-len(r.Items) || r.Failed != 1 || r.Items[0].Outcome != flow.Denied {
		t.Errorf("%d targets, %d items, %d left out, %d failed, first %s", r.Targets, r.ItemsTotal, r.ItemsLeftOut(), r.Failed, r.Items[0].Outcome)
	}
	if r.Uploads.Files != 30_000 || r.Uploads.Bytes != 30_000 || r.MessageCut == 0 {
		t.Errorf("uploads %d, messages cut %d", r.Uploads.Files, r.MessageCut)
	}
	if len(page) > 4<<20 || len(text) > 64<<10 {
		t.Errorf("page of %d and text of %d bytes", len(page), len(text))
	}
}

func TestDamageIsTold(t *testing.T) {
	t.Parallel()
	e := &evidence{rows: map[string][]string{"A": {"{}"}}, reports: []flow.Report{{Source: "A", Outcome: flow.Collected}}, broken: true}
	r, text, page := build(t, flow.Record{}, e)
	if len(r.Damage) != 4 || r.ItemsTotal != 1 {
		t.Errorf("damage %q, %d items", r.Damage, r.ItemsTotal)
	}
	if strings.Count(text, "CANNOT BE READ") != 4 || strings.Count(page, "bad block") != 4 {
		t.Errorf("text %s", text)
	}
}

func TestCustody(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)
	rec := flow.Record{FlowID: "F.1", Complete: true, Tool: flow.Tool{Name: "collect", Version: "1"}, Started: at,
		Content:  flow.Content{SHA256: "aaaa", Bytes: 5, From: "/usb/x.zip", Imported: at},
		Replaced: []flow.Content{{SHA256: "bbbb", SpoolSHA256: "cccc", From: "/usb/cut.zip"}}}
	r, err := report.Build(t.Context(), rec, &evidence{})
	if err != nil {
		t.Fatal(err)
	}
	r.KeptAs, r.Made, r.MadeBy = "/store/container.zip", at, "ingest test"
	var text, page bytes.Buffer
	if err := errors.Join(r.WriteText(&text), r.WriteHTML(&page)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"aaaa", "bbbb", "cccc", "/usb/x.zip", "/usb/cut.zip", "collect 1", "/store/container.zip", "2026-11-22 07:00:00 UTC"} {
		for form, got := range map[string]string{"text": text.String(), "page": page.String()} {
			if !strings.Contains(got, want) {
				t.Errorf("the %s has no %q", form, want)
			}
		}
	}
}

func TestBuildEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := report.Build(ctx, flow.Record{}, &evidence{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
