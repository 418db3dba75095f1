package all

import (
	"testing"

	"satchel/vql"
)

func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	if err := vql.NewSet().Add(List()...); err != nil {
		t.Fatal(err)
	}
	if n := len(Set().Plugins()); n < 10 {
		t.Errorf("%d plugins", n)
	}
}
