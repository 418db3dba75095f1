package importer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"satchel/importer"
	"satchel/internal/flow"
)

// TestVersions imports versions of one flow in every order. Whatever the order,
// one flow is left, and it is the longest.
func TestVersions(t *testing.T) {
	t.Parallel()
	base := build(info(hostA, flow1)).row("A", `{"r":1}`).upload("f1", "one", true)
	shortCut := base.copy().upload("f2", "tw", false).bytes()
	longCut := base.copy().row("A", `{"r":2}`).upload("f2", "two and", false).bytes()
	whole := base.copy().row("A", `{"r":2}`).row("B", `{"b":1}`).upload("f2", "two and more", true).end().bytes()
	versions := map[string][]byte{"short": shortCut, "long": longCut, "whole": whole}
	rank := []string{"short", "long", "whole"}
	orders := [][]string{{"short", "long", "whole"}, {"short", "whole", "long"}, {"long", "short", "whole"},
		{"long", "whole", "short"}, {"whole", "short", "long"}, {"whole", "long", "short"}}
	for _, order := range orders {
		t.Run(strings.Join(order, " "), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			best := -1
			for pass := range 2 {
				for _, name := range order {
					r := b.run(b.file(fmt.Sprintf("%d/%s.zip", pass, name), versions[name]))[0]
					at := slices.Index(rank, name)
					want := importer.Already
					switch {
					case best == -1 && name == "whole":
						want = importer.Imported
					case best == -1:
						want = importer.Partial
					case at > best:
						want = importer.Extended
					}
					best = max(best, at)
					if r.Status != want || r.Complete != (best == 2) {
						t.Errorf("pass %d, %s: %s complete=%v, want %s", pass, name, r.Status, r.Complete, want)
					}
				}
			}
			flows := b.flows()
			if len(flows) != 1 || !flows[0].Complete || flows[0].Rows != 3 {
				t.Fatalf("flows %+v", flows)
			}
			if zip, _ := b.content(flows[0]); zip != string(whole) {
				t.Errorf("the store holds %q", zip)
			}
		})
	}
}

// TestNotAPrefix has versions that look alike but hold something else: all of
// them are kept, none takes the place of another.
func TestNotAPrefix(t *testing.T) {
	t.Parallel()
	base := build(info(hostA, flow1)).row("A", `{"r":1}`).upload("f", "content", false)
	cases := map[string][]byte{
		"a row differs":          build(info(hostA, flow1)).row("A", `{"r":9}`).row("A", `{"r":2}`).upload("f", "content and more", true).end().bytes(),
		"a row is missing":       build(info(hostA, flow1)).upload("f", "content and more", true).end().bytes(),
		"a source is missing":    build(info(hostA, flow1)).row("B", `{"r":1}`).upload("f", "content and more", true).end().bytes(),
		"an upload differs":      build(info(hostA, flow1)).row("A", `{"r":1}`).upload("f", "contEnt and more", true).end().bytes(),
		"an upload is shorter":   build(info(hostA, flow1)).row("A", `{"r":1}`).row("A", `{"r":2}`).upload("f", "cont", true).end().bytes(),
		"an upload is missing":   build(info(hostA, flow1)).row("A", `{"r":1}`).row("A", `{"r":2}`).end().bytes(),
		"another upload instead": build(info(hostA, flow1)).row("A", `{"r":1}`).row("A", `{"r":2}`).upload("g", "content", true).end().bytes(),
	}
	for name, data := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			first := b.one(b.file("cut.zip", base.bytes()), importer.Partial)
			r := b.one(b.file("other.zip", data), importer.Imported)
			if r.FlowID == first.FlowID || !flow.ValidID(r.FlowID) || len(r.Problems) != 1 || !strings.Contains(r.Problems[0].Problem, flow1) {
				t.Errorf("result %+v", r)
			}
			again := b.one(b.file("again.zip", data), importer.Already)
			if again.FlowID != r.FlowID {
				t.Errorf("the same again is %s, not %s", again.FlowID, r.FlowID)
			}
			b.one(b.file("cut-again.zip", base.bytes()), importer.Already)
			flows := b.flows()
			if len(flows) != 2 {
				t.Fatalf("%d flows, want 2", len(flows))
			}
			for _, rec := range flows {
				zip, _ := b.content(rec)
				want, original := string(base.bytes()), ""
				if rec.FlowID == r.FlowID {
					want, original = string(data), flow1
				}
				if zip != want || rec.OriginalFlowID != original {
					t.Errorf("%s holds another content, original %q", rec.FlowID, rec.OriginalFlowID)
				}
			}
		})
	}
}

// TestForgedHashes has a container that claims the files of another and holds
// something else: it must not take its place.
func TestForgedHashes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	genuine := build(info(hostA, flow1)).row("A", "1").upload("f", "genuine", true)
	b.one(b.file("cut.zip", genuine.bytes()), importer.Partial)
	forged := build(info(hostA, flow1)).row("A", "1").claim("f", "another", "genuine", true).row("A", "2").end().bytes()
	r := b.one(b.file("forged.zip", forged), importer.Imported)
	if r.FlowID == flow1 {
		t.Error("the forged container took the place of the genuine one")
	}
	flows := b.flows()
	if len(flows) != 2 {
		t.Fatalf("%d flows", len(flows))
	}
	if zip, _ := b.content(flows[0]); zip != string(genuine.bytes()) {
		t.Errorf("the genuine evidence is now %q", zip)
	}
	b.one(b.file("whole.zip", genuine.copy().row("A", "3").end().bytes()), importer.Extended)
}

// TestConflictSurvivesHoles deletes one of several contents under one id.
func TestConflictSurvivesHoles(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var paths, ids []string
	for i := range 4 {
		paths = append(paths, b.file(fmt.Sprintf("%d.zip", i), build(info(hostA, flow1)).row("A", fmt.Sprint(i)).end().bytes()))
		ids = append(ids, b.one(paths[i], importer.Imported).FlowID)
	}
	for _, i := range []int{0, 2} {
		if err := b.store.Delete(t.Context(), hostA, ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	b.one(paths[1], importer.Already)
	b.one(paths[3], importer.Already)
	if r := b.one(paths[2], importer.Imported); r.FlowID == ids[1] || r.FlowID == ids[3] {
		t.Errorf("kept as %s, which is taken", r.FlowID)
	}
}
