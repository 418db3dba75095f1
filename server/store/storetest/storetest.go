// Package storetest is the contract of a store: every implementation must pass
// [Run].
package storetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"satchel/internal/flow"
	"satchel/server/store"
)

// Store is what the contract covers.
type Store interface {
	Clients(ctx context.Context) iter.Seq2[flow.Client, error]
	Client(ctx context.Context, id string) (flow.Client, error)
	FlowCount(ctx context.Context, clientID string) (int, error)
	Flows(ctx context.Context, clientID string) iter.Seq2[flow.Record, error]
	Flow(ctx context.Context, clientID, flowID string) (flow.Record, error)
	Find(ctx context.Context, flowID string) ([]flow.Record, error)
	OpenContainer(ctx context.Context, clientID, flowID string) (zip, spool *io.SectionReader, c io.Closer, err error)
	Put(ctx context.Context, fill func(ctx context.Context, stage *os.Root) (flow.Record, bool, error)) (flow.Record, error)
	Delete(ctx context.Context, clientID, flowID string) error
}

var _ Store = (*store.Store)(nil)

// Ids that the suite uses.
const (
	ClientA = "C.00000000000000aa"
	ClientB = "C.00000000000000bb"
	Flow1   = "F.0000000000001"
	Flow2   = "F.0000000000002"
)

// Run holds a store to the contract. open gives an empty one, and a second call
// with the same subtest the same one again after it was closed by the caller's
// cleanup; the suite itself opens each store once.
func Run(t *testing.T, open func(t *testing.T) Store) {
	t.Helper()
	cases := map[string]func(*testing.T, Store){
		"empty":                 testEmpty,
		"put and read":          testPut,
		"exists":                testExists,
		"same id, two clients":  testTwoClients,
		"replace":               testReplace,
		"replace what is not":   testReplaceMissing,
		"failed fill":           testFailedFill,
		"wrong announcement":    testAnnouncement,
		"hostile ids":           testHostileIDs,
		"delete":                testDelete,
		"listing order":         testOrder,
		"client in any order":   testClientOrder,
		"many at once":          testConcurrent,
		"empty files":           testEmptyFiles,
		"staging stays in jail": testJail,
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

// Record returns a record with content hashes of zip and spool; nil is no file.
func Record(client, id string, started time.Time, zip, spool []byte) flow.Record {
	r := flow.Record{
		FlowID: id, ClientID: client, Format: "satchel", State: flow.StateFinished, StateStr: "FINISHED",
		Complete: spool == nil, Started: started, Host: flow.Host{HostID: client, Hostname: "host-" + id, OS: "linux"},
		Content: flow.Content{From: "/media/usb/x.zip", Complete: spool == nil},
	}
	if zip != nil {
		r.Content.SHA256, r.Content.Bytes = sum(zip), int64(len(zip))
	}
	if spool != nil {
		r.Content.SpoolSHA256, r.Content.SpoolBytes = sum(spool), int64(len(spool))
	}
	return r
}

// Filler returns a fill function that stages the files and returns the record.
func Filler(rec flow.Record, replace bool, zip, spool []byte) func(context.Context, *os.Root) (flow.Record, bool, error) {
	return func(_ context.Context, stage *os.Root) (flow.Record, bool, error) {
		for name, data := range map[string][]byte{store.ContainerName: zip, store.SpoolName: spool} {
			if data == nil {
				continue
			}
			if err := stage.WriteFile(name, data, 0o600); err != nil {
				return rec, false, err
			}
		}
		return rec, replace, nil
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func day(n int) time.Time { return time.Date(2026, 1, n, 8, 0, 0, 0, time.UTC) }

func put(t *testing.T, s Store, rec flow.Record, replace bool, zip, spool []byte) flow.Record {
	t.Helper()
	got, err := s.Put(t.Context(), Filler(rec, replace, zip, spool))
	if err != nil {
		t.Fatalf("put %s/%s: %v", rec.ClientID, rec.FlowID, err)
	}
	return got
}

// Contents reads the evidence of a flow; nil is no file.
func Contents(ctx context.Context, s Store, client, id string) (zip, spool []byte, err error) {
	z, sp, c, err := s.OpenContainer(ctx, client, id)
	if err != nil {
		return nil, nil, err
	}
	defer c.Close()
	if z != nil {
		if zip, err = io.ReadAll(z); err != nil {
			return nil, nil, err
		}
	}
	if sp != nil {
		if spool, err = io.ReadAll(sp); err != nil {
			return nil, nil, err
		}
	}
	return zip, spool, nil
}

func wantContents(t *testing.T, s Store, client, id string, zip, spool []byte) {
	t.Helper()
	z, sp, err := Contents(t.Context(), s, client, id)
	if err != nil {
		t.Fatalf("open container of %s/%s: %v", client, id, err)
	}
	if !bytes.Equal(z, zip) || !bytes.Equal(sp, spool) || (sp == nil) != (spool == nil) {
		t.Errorf("%s/%s holds %q and %q, want %q and %q", client, id, z, sp, zip, spool)
	}
}

func flowIDs(t *testing.T, s Store, client string) []string {
	t.Helper()
	var ids []string
	for rec, err := range s.Flows(t.Context(), client) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, rec.ClientID+"/"+rec.FlowID)
	}
	return ids
}

func testEmpty(t *testing.T, s Store) {
	ctx := t.Context()
	for c, err := range s.Clients(ctx) {
		t.Errorf("client %v, %v in an empty store", c, err)
	}
	if ids := flowIDs(t, s, ""); ids != nil {
		t.Errorf("flows %v in an empty store", ids)
	}
	if got, err := s.Find(ctx, Flow1); err != nil || got != nil {
		t.Errorf("find = %v, %v", got, err)
	}
	_, errFlow := s.Flow(ctx, ClientA, Flow1)
	_, errClient := s.Client(ctx, ClientA)
	_, _, _, errOpen := s.OpenContainer(ctx, ClientA, Flow1)
	for _, err := range []error{errFlow, errClient, errOpen, s.Delete(ctx, ClientA, Flow1)} {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v, want ErrNotFound", err)
		}
	}
}

func testPut(t *testing.T, s Store) {
	rec := Record(ClientA, Flow1, day(1), []byte("zip"), []byte("spool"))
	rec.Sources = []flow.SourceStat{{Name: "A/B", Rows: 3}}
	rec.Problems = []flow.Problem{{Member: "x", Problem: "cut", Offset: -1}}
	got := put(t, s, rec, false, []byte("zip"), []byte("spool"))
	read, err := s.Flow(t.Context(), ClientA, Flow1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, read); diff != "" {
		t.Errorf("what Put returned is not what is read (-put +read):\n%s", diff)
	}
	rec.Version = 1
	if diff := cmp.Diff(rec, read); diff != "" {
		t.Errorf("record changed (-want +got):\n%s", diff)
	}
	found, err := s.Find(t.Context(), Flow1)
	if err != nil || len(found) != 1 || found[0].ClientID != ClientA {
		t.Errorf("find = %v, %v", found, err)
	}
	wantContents(t, s, ClientA, Flow1, []byte("zip"), []byte("spool"))
	c, err := s.Client(t.Context(), ClientA)
	if err != nil || c.Hostname != "host-"+Flow1 || !c.FirstSeen.Equal(day(1)) {
		t.Errorf("client = %+v, %v", c, err)
	}
	if n, err := s.FlowCount(t.Context(), ClientA); n != 1 || err != nil {
		t.Errorf("flow count %d, %v", n, err)
	}
}

func testExists(t *testing.T, s Store) {
	put(t, s, Record(ClientA, Flow1, day(1), []byte("one"), nil), false, []byte("one"), nil)
	_, err := s.Put(t.Context(), Filler(Record(ClientA, Flow1, day(2), []byte("two"), nil), false, []byte("two"), nil))
	if !errors.Is(err, store.ErrExists) {
		t.Errorf("second put: %v, want ErrExists", err)
	}
	wantContents(t, s, ClientA, Flow1, []byte("one"), nil)
}

func testTwoClients(t *testing.T, s Store) {
	put(t, s, Record(ClientB, Flow1, day(1), []byte("b"), nil), false, []byte("b"), nil)
	put(t, s, Record(ClientA, Flow1, day(1), []byte("a"), nil), false, []byte("a"), nil)
	found, err := s.Find(t.Context(), Flow1)
	if err != nil || len(found) != 2 {
		t.Fatalf("find = %v, %v", found, err)
	}
	wantContents(t, s, ClientA, Flow1, []byte("a"), nil)
	wantContents(t, s, ClientB, Flow1, []byte("b"), nil)
}

func testReplace(t *testing.T, s Store) {
	first := put(t, s, Record(ClientA, Flow1, day(1), []byte("zi"), []byte("spool")), false, []byte("zi"), []byte("spool"))
	second := put(t, s, Record(ClientA, Flow1, day(1), []byte("zip whole"), nil), true, []byte("zip whole"), nil)
	wantContents(t, s, ClientA, Flow1, []byte("zip whole"), nil)
	if diff := cmp.Diff([]flow.Content{first.Content}, second.Replaced); diff != "" {
		t.Errorf("replaced contents (-want +got):\n%s", diff)
	}
	third := put(t, s, Record(ClientA, Flow1, day(1), []byte("zip whole+"), []byte("s")), true, []byte("zip whole+"), []byte("s"))
	if len(third.Replaced) != 2 {
		t.Errorf("%d replaced contents, want 2", len(third.Replaced))
	}
	wantContents(t, s, ClientA, Flow1, []byte("zip whole+"), []byte("s"))
}

func testReplaceMissing(t *testing.T, s Store) {
	_, err := s.Put(t.Context(), Filler(Record(ClientA, Flow1, day(1), []byte("z"), nil), true, []byte("z"), nil))
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("replace of nothing: %v, want ErrNotFound", err)
	}
	if ids := flowIDs(t, s, ""); ids != nil {
		t.Errorf("flows %v", ids)
	}
}

func testFailedFill(t *testing.T, s Store) {
	cause := errors.New("the stick was pulled")
	_, err := s.Put(t.Context(), func(_ context.Context, stage *os.Root) (flow.Record, bool, error) {
		if err := stage.WriteFile(store.ContainerName, []byte("half"), 0o600); err != nil {
			t.Error(err)
		}
		return flow.Record{}, false, cause
	})
	if !errors.Is(err, cause) {
		t.Errorf("error %v, want the one of fill", err)
	}
	for c := range s.Clients(t.Context()) {
		t.Errorf("client %v after a failed import", c)
	}
}

func testAnnouncement(t *testing.T, s Store) {
	whole := Record(ClientA, Flow1, day(1), []byte("zip"), nil)
	short := Filler(whole, false, []byte("zi"), nil)
	extra := Filler(whole, false, []byte("zip"), []byte("spool"))
	none := Filler(flow.Record{ClientID: ClientA, FlowID: Flow1}, false, nil, nil)
	foreign := func(ctx context.Context, stage *os.Root) (flow.Record, bool, error) {
		if err := stage.WriteFile("other", nil, 0o600); err != nil {
			return whole, false, err
		}
		return Filler(whole, false, []byte("zip"), nil)(ctx, stage)
	}
	for name, fill := range map[string]store.Fill{"short": short, "extra": extra, "none": none, "foreign": foreign} {
		if _, err := s.Put(t.Context(), fill); err == nil {
			t.Errorf("%s: put took other files than were announced", name)
		}
	}
	if ids := flowIDs(t, s, ""); ids != nil {
		t.Errorf("flows %v", ids)
	}
}

func testHostileIDs(t *testing.T, s Store) {
	ctx := t.Context()
	bad := []string{"", ".", "..", "../../x", "/etc", "C.00000000000000aa/..", "C.00000000000000AA", "F.0000000000001\x00",
		"F.0000000000001/../../../x", "F.000000000000W", "C:\\x", "NUL", "F." + strings.Repeat("0", 1<<16)}
	for _, id := range bad {
		_, e1 := s.Flow(ctx, ClientA, id)
		_, e2 := s.Find(ctx, id)
		_, e3 := s.Client(ctx, id)
		_, _, _, e4 := s.OpenContainer(ctx, id, Flow1)
		_, e5 := s.Put(ctx, Filler(Record(ClientA, id, day(1), []byte("z"), nil), false, []byte("z"), nil))
		_, e6 := s.Put(ctx, Filler(Record(id, Flow1, day(1), []byte("z"), nil), false, []byte("z"), nil))
		_, e7 := s.FlowCount(ctx, id)
		for i, err := range []error{e1, e2, e3, e4, e5, e6, e7, s.Delete(ctx, id, Flow1)} {
			if !errors.Is(err, store.ErrBadID) {
				t.Errorf("call %d with id %.40q: %v, want ErrBadID", i+1, id, err)
			} else if len(err.Error()) > 400 {
				t.Errorf("call %d: a message of %d bytes", i+1, len(err.Error()))
			}
		}
	}
}

func testDelete(t *testing.T, s Store) {
	put(t, s, Record(ClientA, Flow1, day(1), []byte("1"), nil), false, []byte("1"), nil)
	put(t, s, Record(ClientA, Flow2, day(1), []byte("2"), nil), false, []byte("2"), nil)
	if err := s.Delete(t.Context(), ClientA, Flow1); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{ClientA + "/" + Flow2}, flowIDs(t, s, "")); diff != "" {
		t.Errorf("flows after delete (-want +got):\n%s", diff)
	}
	if found, err := s.Find(t.Context(), Flow1); len(found) != 0 || err != nil {
		t.Errorf("find = %v, %v", found, err)
	}
	if err := s.Delete(t.Context(), ClientA, Flow1); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("second delete: %v", err)
	}
	put(t, s, Record(ClientA, Flow1, day(1), []byte("again"), nil), false, []byte("again"), nil)
	wantContents(t, s, ClientA, Flow1, []byte("again"), nil)
}

func testOrder(t *testing.T, s Store) {
	for _, id := range []string{"F.0000000000003", Flow1, Flow2} {
		for _, c := range []string{ClientB, ClientA} {
			put(t, s, Record(c, id, day(1), []byte("z"), nil), false, []byte("z"), nil)
		}
	}
	want := []string{ClientA + "/" + Flow1, ClientA + "/" + Flow2, ClientA + "/F.0000000000003",
		ClientB + "/" + Flow1, ClientB + "/" + Flow2, ClientB + "/F.0000000000003"}
	if diff := cmp.Diff(want, flowIDs(t, s, "")); diff != "" {
		t.Errorf("all flows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[3:], flowIDs(t, s, ClientB)); diff != "" {
		t.Errorf("flows of one client (-want +got):\n%s", diff)
	}
}

// testClientOrder imports the same flows in two orders for two clients: what is
// known of the machines must not differ.
func testClientOrder(t *testing.T, s Store) {
	ids := []string{Flow1, Flow2, "F.0000000000003"}
	days := []int{2, 3, 1}
	for _, i := range []int{0, 1, 2} {
		put(t, s, Record(ClientA, ids[i], day(days[i]), []byte("z"), nil), false, []byte("z"), nil)
	}
	for _, i := range []int{2, 1, 0} {
		put(t, s, Record(ClientB, ids[i], day(days[i]), []byte("z"), nil), false, []byte("z"), nil)
	}
	a, errA := s.Client(t.Context(), ClientA)
	b, errB := s.Client(t.Context(), ClientB)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	b.ClientID = a.ClientID
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("the order of imports shows (-one +other):\n%s", diff)
	}
	if a.Hostname != "host-"+Flow2 || !a.FirstSeen.Equal(day(1)) || !a.LastSeen.Equal(day(3)) {
		t.Errorf("client %+v", a)
	}
}

func testConcurrent(t *testing.T, s Store) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 5 {
				id := fmt.Sprintf("F.%013d", i*100+j)
				data := []byte(id)
				if _, err := s.Put(t.Context(), Filler(Record(ClientA, id, day(1+j), data, nil), false, data, nil)); err != nil {
					t.Error(err)
				}
				for _, err := range s.Flows(t.Context(), "") {
					if err != nil {
						t.Error(err)
					}
				}
				if found, err := s.Find(t.Context(), id); err != nil || len(found) != 1 {
					t.Errorf("find %s = %v, %v", id, found, err)
				}
			}
		})
	}
	wg.Wait()
	if n, err := s.FlowCount(t.Context(), ClientA); n != 40 || err != nil {
		t.Errorf("%d flows, %v", n, err)
	}
}

func testEmptyFiles(t *testing.T, s Store) {
	put(t, s, Record(ClientA, Flow1, day(1), []byte{}, []byte("only the spool")), false, []byte{}, []byte("only the spool"))
	wantContents(t, s, ClientA, Flow1, []byte{}, []byte("only the spool"))
	put(t, s, Record(ClientA, Flow2, day(1), nil, []byte("no container")), false, nil, []byte("no container"))
	zip, spool, c, err := s.OpenContainer(t.Context(), ClientA, Flow2)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if zip != nil || spool == nil || spool.Size() != 12 {
		t.Errorf("a flow with a spool alone opens as %v, %v", zip, spool)
	}
}

func testJail(t *testing.T, s Store) {
	outside := filepath.Join(t.TempDir(), "outside")
	_, err := s.Put(t.Context(), func(_ context.Context, stage *os.Root) (flow.Record, bool, error) {
		for _, name := range []string{"../../../x", outside, "..", "../store.json"} {
			if stage.WriteFile(name, []byte("x"), 0o600) == nil {
				t.Errorf("the staging directory let %q be written", name)
			}
		}
		return flow.Record{}, false, errors.New("done")
	})
	if err == nil {
		t.Error("put kept nothing")
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("written outside the store")
	}
}
