package zipx

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// foreign returns the archives of other tools.
func foreign(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/foreign/*.zip")
	if err != nil || len(names) < 11 {
		t.Fatalf("%d archives in testdata/foreign, %v", len(names), err)
	}
	all := map[string][]byte{}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".zip")] = b
	}
	return all
}

// TestForeign reads and salvages archives of other tools.
func TestForeign(t *testing.T) {
	t.Parallel()
	const hello = "hello hello hello hello hello hello\n"
	content36 := map[string]string{"d/a.txt": hello, "d/sub/b": "x", "-": hello, "d/empty": "", "d/naïve 文.txt": "na\n"}
	refused := map[string]error{"infozip-encrypted": ErrEncrypted, "python-bzip2": ErrMethod}
	for name, b := range foreign(t) {
		a, err := Open(bytes.NewReader(b), int64(len(b)), Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if base := int64(len("#!/bin/sh\nexit 0\n")); (name == "sfx") != (a.Base() == base) {
			t.Errorf("%s: base is %d", name, a.Base())
		}
		found := salvage(t, b, 0)
		all := listAll(t, a)
		if len(found.found) != len(all) || name != "sfx" && found.trailing != 0 {
			t.Errorf("%s: %d members salvaged, %d listed, %d bytes left", name, len(found.found), len(all), found.trailing)
			continue
		}
		for i, m := range all {
			got, err := content(a, &m)
			if want := refused[name]; want != nil {
				if !errors.Is(err, want) || found.found[i].Complete {
					t.Errorf("%s: %s: %v, %+v", name, m.Name, err, found.found[i])
				}
				continue
			}
			want, known := content36[m.Name]
			isManifest := strings.HasPrefix(m.Name, "META-INF/")
			if err != nil || !known && !m.Dir && !isManifest || !isManifest && string(got) != want {
				t.Errorf("%s: %s: %q, %v", name, m.Name, got, err)
			}
			if !strings.HasPrefix(name, "sfx") && found.found[i].Resynced || !found.found[i].Complete || !bytes.Equal(found.content[i], got) {
				t.Errorf("%s: salvage: %+v", name, found.found[i])
			}
			from, to, err := a.RecordSpan(&m)
			if err != nil || from != found.found[i].Start || to != found.found[i].End {
				t.Errorf("%s: %s: span %d to %d, salvaged %d to %d, %v", name, m.Name, from, to, found.found[i].Start, found.found[i].End, err)
			}
		}
	}
}
