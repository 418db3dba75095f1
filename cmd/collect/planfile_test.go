package main

import (
	"os"
	"path/filepath"
	"testing"

	"satchel/internal/flow"

	"github.com/google/go-cmp/cmp"
)

func TestPlanSpecs(t *testing.T) {
	t.Parallel()
	p, err := parsePlan([]byte("artifacts:\n- A.B\n- name: C\n  parameters:\n    Z: 1\n    Y: \"true\"\n    X: yes\n"), "plan")
	if err != nil {
		t.Fatal(err)
	}
	want := []flow.Spec{{Artifact: "A.B"}, {Artifact: "C", Parameters: []flow.Param{{Key: "X", Value: "yes"}, {Key: "Y", Value: "true"}, {Key: "Z", Value: "1"}}}}
	if d := cmp.Diff(want, p.specs()); d != "" {
		t.Error(d)
	}
}

func TestPlanIsBounded(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(path, make([]byte, maxPlanBytes+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readPlan(path); err == nil {
		t.Error("a plan over the limit was read")
	}
}

func FuzzPlan(f *testing.F) {
	for _, seed := range []string{
		"artifacts: [A]", `{"artifacts":["A",{"name":"B","parameters":{"X":"1"}}],"timeout":"10m"}`,
		"artifacts:\n- name: [A]\n", "artifacts: &a [*a]", "artifacts: {}", "- A", "\x00", "artifacts:\n- !!binary A\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return
		}
		p, err := parsePlan(data, "plan")
		if err == nil && len(p.specs()) == 0 {
			t.Error("a plan without artifacts was taken")
		}
	})
}
