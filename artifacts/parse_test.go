package artifacts

import "testing"

func TestLibraryParses(t *testing.T) {
	t.Parallel()
	r := Embedded()
	if len(r.Names()) == 0 {
		t.Fatal("the library is empty")
	}
	for _, name := range r.Names() {
		a, err := r.Get(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a.Name != name {
			t.Errorf("the scan says %q, the YAML %q", name, a.Name)
		}
	}
}
