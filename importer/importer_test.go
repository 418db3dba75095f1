package importer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/container"
	"satchel/importer"
	"satchel/internal/flow"
	"satchel/server/store"
)

const (
	hostA = "C.00000000000000aa"
	hostB = "C.00000000000000bb"
	flow1 = "F.0000000000001"
	flow2 = "F.0000000000002"
)

func info(client, id string) container.Info {
	return container.Info{Format: "satchel", Flow: flow.Flow{ID: id, ClientID: client}, State: flow.StateFinished,
		Host: flow.Host{HostID: client, Hostname: "h", OS: "linux"}, Started: time.Unix(1e9, 0).UTC()}
}

// bench is a store and a directory of containers.
type bench struct {
	t     *testing.T
	dir   string
	store *store.Store
	o     importer.Options
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	s, err := store.Open(t.Context(), filepath.Join(dir, "store"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{t: t, dir: dir, store: s, o: importer.Options{Format: fakeFormat{}, Skip: filepath.Join(dir, "store")}}
}

// freshStore opens a store of its own; the caller closes it.
func freshStore(t *testing.T, dir string, n int) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), filepath.Join(dir, fmt.Sprintf("store%d", n)), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bench) file(name string, data []byte) string {
	b.t.Helper()
	p := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(p, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return p
}

// run imports paths one after the other with one importer.
func (b *bench) run(paths ...string) []importer.Result {
	b.t.Helper()
	im, err := importer.New(b.store, b.o)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []importer.Result
	for _, p := range paths {
		if err := im.Import(b.t.Context(), p, func(r importer.Result) error {
			out = append(out, r)
			return nil
		}); err != nil {
			b.t.Fatalf("import %s: %v", p, err)
		}
	}
	return out
}

func (b *bench) one(path string, want importer.Status) importer.Result {
	b.t.Helper()
	got := b.run(path)
	if len(got) != 1 || got[0].Status != want {
		b.t.Fatalf("import %s: %+v, want one result %s", filepath.Base(path), got, want)
	}
	if got[0].Problems == nil {
		b.t.Errorf("problems are null in %+v", got[0])
	}
	return got[0]
}

func (b *bench) flows() []flow.Record {
	b.t.Helper()
	var out []flow.Record
	for rec, err := range b.store.Flows(b.t.Context(), "") {
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, rec)
	}
	return out
}

func (b *bench) content(rec flow.Record) (zip, spool string) {
	b.t.Helper()
	z, s, c, err := b.store.OpenContainer(b.t.Context(), rec.ClientID, rec.FlowID)
	if err != nil {
		b.t.Fatal(err)
	}
	defer c.Close()
	for r, out := range map[*io.SectionReader]*string{z: &zip, s: &spool} {
		if r == nil {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			b.t.Fatal(err)
		}
		*out = string(data)
	}
	return zip, spool
}

func TestImportKeepsTheEvidenceAsItIs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := build(info(hostA, flow1)).row("A/B", `{"x":1}`).upload("f", "data", true).
		line(fakeLine{Report: &flow.Report{Source: "A/B", Outcome: flow.Collected}}).end().bytes()
	r := b.one(b.file("x.zip", data), importer.Imported)
	want := importer.Result{Path: filepath.Join(b.dir, "x.zip"), Status: importer.Imported, ClientID: hostA, FlowID: flow1,
		Rows: 1, Uploads: 1, Bytes: int64(len(data)), Problems: []container.Problem{}, Complete: true}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	rec := b.flows()[0]
	if zip, spool := b.content(rec); zip != string(data) || spool != "" {
		t.Errorf("the evidence was changed")
	}
	if !rec.Complete || rec.Rows != 1 || len(rec.Sources) != 1 || rec.Outcomes[0].Outcome != flow.Collected ||
		rec.Content.From != r.Path || rec.Content.Imported.IsZero() || rec.Identity != "host_id" {
		t.Errorf("record %+v", rec)
	}
}

func TestSameContentAgainIsAlready(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := build(info(hostA, flow1)).row("A", `{}`).end().bytes()
	b.one(b.file("x.zip", data), importer.Imported)
	r := b.one(b.file("other/place/y.zip", data), importer.Already)
	if r.ClientID != hostA || r.FlowID != flow1 || !r.Complete {
		t.Errorf("result %+v", r)
	}
	b.o.ClientID = hostB
	r = b.one(b.file("z.zip", data), importer.Already)
	if r.ClientID != hostA || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Problem, hostA) {
		t.Errorf("result with another --client %+v", r)
	}
	if n := len(b.flows()); n != 1 {
		t.Errorf("%d flows", n)
	}
}

func TestOtherClientKeepsTheID(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.one(b.file("a.zip", build(info(hostA, flow1)).row("A", "1").end().bytes()), importer.Imported)
	r := b.one(b.file("b.zip", build(info(hostB, flow1)).row("A", "2").end().bytes()), importer.Imported)
	if r.ClientID != hostB || r.FlowID != flow1 {
		t.Errorf("result %+v", r)
	}
}

func TestDamageFoundByThePass(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := build(info(hostA, flow1)).upload("f", "data", true)
	r := b.one(b.file("bad.zip", good.copy().line(fakeLine{Bad: true}).end().bytes()), importer.Partial)
	if len(r.Problems) != 1 || r.Problems[0].Offset != 7 || r.Complete {
		t.Errorf("result %+v", r)
	}
	// The undamaged one heals it.
	r = b.one(b.file("good.zip", good.copy().end().bytes()), importer.Extended)
	if !r.Complete {
		t.Errorf("result %+v", r)
	}
}

func TestSpools(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	head := build(info(hostA, flow1)).upload("f", "data", true).bytes()
	rows := new(builder).row("A", "1").bytes()
	zip := b.file("d/x.zip", head)
	spool := b.file("d/x.zip.spool", rows)
	got := b.run(zip, spool, filepath.Join(b.dir, "d"))
	if len(got) != 2 || got[0].Status != importer.Partial || got[0].Rows != 1 || got[1].Status != importer.Already {
		t.Errorf("a pair named twice and walked: %+v", got)
	}
	if got[0].Bytes != int64(len(head)+len(rows)) {
		t.Errorf("%d bytes", got[0].Bytes)
	}
	rec := b.flows()[0]
	if z, s := b.content(rec); z != string(head) || s != string(rows) {
		t.Errorf("kept %q and %q", z, s)
	}
	alone := build(info(hostB, flow2)).row("A", "1").bytes()
	r := b.one(b.file("e/y.zip.spool", alone), importer.Partial)
	if r.ClientID != hostB || filepath.Base(r.Path) != "y.zip.spool" {
		t.Errorf("a spool alone: %+v", r)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	pad := make([]byte, 600)
	tar := append([]byte(nil), pad...)
	copy(tar[257:], "ustar")
	cases := []struct {
		name string
		data []byte
		want string
	}{
		{"empty.zip", nil, "empty file"},
		{"zeros.zip", pad, "nothing but zeros"},
		{"text.zip", []byte("hello, this is no container at all"), "not a collection container"},
		{"acquire.zip", []byte("ENCRYPTEDACQUIRE and more"), "acquire"},
		{"box.7z.zip", []byte("7z\xbc\xaf\x27\x1c rest"), "7-Zip"},
		{"uac.tar.zip", tar, "tar archive"},
		{"gz.zip", []byte("\x1f\x8b rest"), "gzip"},
		{"cut.zip", []byte("PK\x03\x04 rest that is no zip at all......................."), "cut or damaged"},
		{"secret.zip", []byte("age-encryption.org/v1\n"), "age"},
		{"lone.zip.spool", []byte("nonsense"), "not a spool"},
	}
	b := newBench(t)
	for _, c := range cases {
		r := b.one(b.file(c.name, c.data), importer.Refused)
		if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Problem, c.want) {
			t.Errorf("%s: %+v, want a problem with %q", c.name, r.Problems, c.want)
		}
		if r.Bytes != int64(len(c.data)) || r.ClientID != "" || r.FlowID != "" {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	if r := b.one(filepath.Join(b.dir, "nosuch.zip"), importer.Refused); !strings.Contains(r.Problems[0].Problem, "no such file") {
		t.Errorf("missing file: %+v", r)
	}
	if n := len(b.flows()); n != 0 {
		t.Errorf("%d flows", n)
	}
}

// TestWalk gives one line for each container and for each file that claims to be
// one, none for others, and does not walk into the store or through links.
func TestWalk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := func(id string) []byte { return build(info(hostA, id)).row("A", id).end().bytes() }
	b.file("in/a.zip", good(flow1))
	b.file("in/deep/er/b.zip", good(flow2))
	b.file("in/notes.txt", []byte("notes"))
	b.file("in/a.zip.sha256", []byte("not a hash"))
	b.file("in/report.docx", []byte("PK\x03\x04 an office file"))
	b.file("in/bad.zip", []byte("garbage"))
	b.file("in/bad.tar.gz", []byte("garbage"))
	b.file("in/agent.spool", []byte("garbage"))
	b.file("outside.zip", good("F.0000000000009"))
	if err := os.Symlink(filepath.Join(b.dir, "outside.zip"), filepath.Join(b.dir, "in", "link.zip")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(b.dir, filepath.Join(b.dir, "in", "loop")); err != nil {
		t.Fatal(err)
	}
	want := map[string]importer.Status{"a.zip": importer.Imported, "b.zip": importer.Imported, "bad.zip": importer.Refused, "bad.tar.gz": importer.Refused}
	got := map[string]importer.Status{}
	for _, r := range b.run(filepath.Join(b.dir, "in")) {
		got[filepath.Base(r.Path)] = r.Status
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("walk (-want +got):\n%s", diff)
	}
	// The store lies below the walked directory.
	results := b.run(b.dir)
	if n := len(results); n != 5 {
		t.Errorf("%d results of a walk over the store, want 5: %+v", n, results)
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	const uuid = "3D1219C7-C4C5-404A-AA1F-6D2A48ADFDA4"
	cases := []struct {
		name   string
		host   flow.Host
		client string
		given  string
		want   string
		how    string
	}{
		{"own id as it is", flow.Host{HostID: hostA, RawID: uuid, Hostname: "h"}, hostB, "", hostA, "host_id"},
		{"own id of zeros", flow.Host{HostID: "C.0000000000000000", RawID: uuid}, "", "", "C.0000000000000000", "host_id"},
		{"foreign id hashed", flow.Host{HostID: uuid, Hostname: "h"}, "", "", flow.ClientID(uuid), "host_id"},
		{"machine id", flow.Host{RawID: uuid, Hostname: "h"}, hostB, "", flow.ClientID(strings.ToLower(uuid)), "machine_id"},
		{"board without id", flow.Host{HostID: "00000000-0000-0000-0000-000000000000", Hostname: "h"}, hostB, "", hostB, "client_id"},
		{"fqdn", flow.Host{Hostname: "h", FQDN: "H.Example.org."}, "", "", flow.ClientID("fqdn:h.example.org"), "fqdn"},
		{"fqdn says nothing", flow.Host{Hostname: "H", FQDN: "localhost"}, "", "", flow.ClientID("hostname:h"), "hostname"},
		{"nothing", flow.Host{}, "", "", flow.ClientID("flow:" + flow1), "flow"},
		{"given", flow.Host{HostID: hostA}, "", hostB, hostB, "given"},
		{"hostile", flow.Host{HostID: "../../etc"}, "C.x/../..", "", flow.ClientID("../../etc"), "host_id"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.o.ClientID = c.given
			i := info("", flow1)
			i.Host, i.Flow.ClientID = c.host, c.client
			b.one(b.file("x.zip", build(i).end().bytes()), importer.Imported)
			rec := b.flows()[0]
			if rec.ClientID != c.want || rec.Identity != c.how || !flow.ValidClientID(rec.ClientID) {
				t.Errorf("client %s by %s, want %s by %s", rec.ClientID, rec.Identity, c.want, c.how)
			}
			own := c.host.HostID
			if own == "" {
				own = c.client
			}
			if own != "" && own != rec.ClientID && rec.OriginalClientID != own {
				t.Errorf("original client id %q, want %q", rec.OriginalClientID, own)
			}
		})
	}
}

func TestEqualHostnamesStayApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.one(b.file("a.zip", build(info(hostA, flow1)).end().bytes()), importer.Imported)
	b.one(b.file("b.zip", build(info(hostB, flow2)).end().bytes()), importer.Imported)
	n := 0
	for c, err := range b.store.Clients(t.Context()) {
		if err != nil || c.Hostname != "h" {
			t.Errorf("client %+v, %v", c, err)
		}
		n++
	}
	if n != 2 {
		t.Errorf("%d clients", n)
	}
}

func TestForeignFlowIDs(t *testing.T) {
	t.Parallel()
	ids := []string{"../../../etc/passwd", "/abs", "hello world", "F.x", "F.0000000000001\x00", strings.Repeat("A", 1<<20), "H.0000000000001"}
	b := newBench(t)
	seen := map[string]bool{}
	for i, id := range ids {
		data := build(info(hostA, id)).row("A", "1")
		cut := b.one(b.file(fmt.Sprintf("%d-cut.zip", i), data.bytes()), importer.Partial)
		r := b.one(b.file(fmt.Sprintf("%d.zip", i), data.end().bytes()), importer.Extended)
		if !flow.ValidID(r.FlowID) || seen[r.FlowID] || r.FlowID != cut.FlowID {
			t.Errorf("%.20q is kept as %s", id, r.FlowID)
		}
		seen[r.FlowID] = true
	}
	for _, rec := range b.flows() {
		if rec.OriginalFlowID == "" || len(rec.OriginalFlowID) > 2<<10 {
			t.Errorf("%s: original id of %d bytes", rec.FlowID, len(rec.OriginalFlowID))
		}
	}
	// No id at all: the content is the name.
	r := b.one(b.file("none.zip", build(info(hostA, "")).end().bytes()), importer.Imported)
	again := b.one(b.file("none2.zip", build(info(hostA, "")).end().bytes()), importer.Already)
	other := b.one(b.file("none3.zip", build(info(hostA, "")).row("A", "1").end().bytes()), importer.Imported)
	if r.FlowID != again.FlowID || r.FlowID == other.FlowID {
		t.Errorf("without id: %s, %s, %s", r.FlowID, again.FlowID, other.FlowID)
	}
}

func TestHostileTextsAreBounded(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	i := info(hostA, flow1)
	huge := strings.Repeat("x", 8<<20)
	i.Host.Hostname, i.Host.FQDN, i.Flow.Notes, i.Status, i.Flow.Case = huge, huge, huge, huge, huge
	i.Flow.Request.Artifacts = slices.Repeat([]string{"A"}, 100_000)
	i.Problems = slices.Repeat([]container.Problem{{Problem: huge}}, 3)
	for n := range 500 {
		i.Problems = append(i.Problems, container.Problem{Problem: fmt.Sprint(n)})
	}
	r := b.one(b.file("x.zip", build(i).bytes()), importer.Partial)
	if len(r.Problems) > 110 {
		t.Errorf("%d problems in the result", len(r.Problems))
	}
	st, err := os.Stat(filepath.Join(b.dir, "store", "clients", r.ClientID, "flows", r.FlowID, "flow.json"))
	if err != nil || st.Size() > 1<<20 {
		t.Errorf("flow.json of %d bytes, %v", st.Size(), err)
	}
}

func TestSidecarHash(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	p := b.file("x.zip", build(info(hostA, flow1)).end().bytes())
	b.file("x.zip.sha256", []byte(strings.Repeat("0", 64)+"  x.zip\n"))
	r := b.one(p, importer.Imported)
	if len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Problem, ".sha256") {
		t.Errorf("problems %+v", r.Problems)
	}
	rec := b.flows()[0]
	b.file("y.zip", build(info(hostA, flow1)).end().bytes())
	b.file("y.zip.sha256", []byte(strings.ToUpper(rec.Content.SHA256)+" *y.zip\n"))
	if r := b.one(filepath.Join(b.dir, "y.zip"), importer.Already); len(r.Problems) != 0 {
		t.Errorf("problems %+v", r.Problems)
	}
}

// TestManyContainers imports many containers twice, cut and bad ones among them.
func TestManyContainers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for i := range 100 {
		client := fmt.Sprintf("C.%016x", i%20)
		data := build(info(client, fmt.Sprintf("F.%013d", i))).row("A", fmt.Sprint(i))
		if i%10 == 3 {
			b.file(fmt.Sprintf("in/%03d.zip", i), []byte("garbage"))
			continue
		}
		if i%10 != 4 {
			data.end()
		}
		b.file(fmt.Sprintf("in/%03d.zip", i), data.bytes())
	}
	for pass, want := range []map[importer.Status]int{
		{importer.Imported: 80, importer.Partial: 10, importer.Refused: 10},
		{importer.Already: 90, importer.Refused: 10},
	} {
		got := map[importer.Status]int{}
		for _, r := range b.run(filepath.Join(b.dir, "in")) {
			got[r.Status]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("pass %d (-want +got):\n%s", pass, diff)
		}
	}
	clients := 0
	for range b.store.Clients(t.Context()) {
		clients++
	}
	if clients != 18 {
		t.Errorf("%d clients, want 18", clients)
	}
}

// TestInterruptLeavesNothing cancels the import in the middle of a copy.
func TestInterruptLeavesNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	b.o.Progress = func(string, int64, int64) { cancel() }
	im, err := importer.New(b.store, b.o)
	if err != nil {
		t.Fatal(err)
	}
	p := b.file("x.zip", build(info(hostA, flow1)).end().bytes())
	err = im.Import(ctx, p, func(r importer.Result) error { t.Errorf("result %+v", r); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	left, err := os.ReadDir(filepath.Join(b.dir, "store", "incoming"))
	if err != nil || len(left) != 0 || len(b.flows()) != 0 {
		t.Errorf("left %v, %v, %v", left, err, b.flows())
	}
}

func TestBadClientID(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.o.ClientID = "../x"
	if _, err := importer.New(b.store, b.o); !errors.Is(err, importer.ErrBadClientID) {
		t.Errorf("error %v", err)
	}
}
