package collector

import (
	"os"
	"path/filepath"
	"testing"

	"satchel/internal/flow"
)

func TestOwnFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	own, other, link := filepath.Join(dir, "x.zip"), filepath.Join(dir, "y.zip"), filepath.Join(dir, "link")
	for _, p := range []string{own, other} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(own, link); err != nil {
		t.Fatal(err)
	}
	is := OwnFiles(own, filepath.Join(dir, "absent"))
	tests := []struct {
		upload flow.Upload
		want   bool
	}{
		{flow.Upload{Path: own, Accessor: "file"}, true},
		{flow.Upload{Path: dir + "/./x.zip", Accessor: "auto"}, true},
		{flow.Upload{Path: link}, true},
		{flow.Upload{Path: other, Accessor: "file"}, false},
		{flow.Upload{Path: own, Accessor: "data"}, false},
		{flow.Upload{Path: filepath.Join(dir, "absent"), Accessor: "file"}, false},
	}
	for _, tt := range tests {
		if got := is(tt.upload); got != tt.want {
			t.Errorf("%+v: %v, want %v", tt.upload, got, tt.want)
		}
	}
}
