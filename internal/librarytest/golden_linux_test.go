package librarytest

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"satchel/artifacts"

	"github.com/google/go-cmp/cmp"
)

var (
	update = flag.Bool("update", false, "rewrite the golden files")
	// What differs from one checkout to the next.
	unsettable = regexp.MustCompile(`"(Atime|Ctime|Btime|Inode|OwnerUid|OwnerGid)":("[^"]*"|\d+)`)
	linkTime   = regexp.MustCompile(`"Mtime":"20[^"]*\.\d+Z"`)
)

func mask(row string) string {
	return linkTime.ReplaceAllString(unsettable.ReplaceAllString(row, `"$1":"*"`), `"Mtime":"*"`)
}

// golden are the artifacts that read nothing but files, with the arguments of
// each. ROOT stands for the place of the fixed host.
func golden() map[string][]string {
	return map[string][]string{
		"Linux.Mounts":              {"Linux.Mounts::Root=ROOT"},
		"Linux.Proc.Arp":            {"Linux.Proc.Arp::Root=ROOT"},
		"Linux.Proc.Modules":        {"Linux.Proc.Modules::Root=ROOT"},
		"Linux.Sys.LastUserLogin":   {"Linux.Sys.LastUserLogin::Root=ROOT"},
		"Linux.Sys.Users":           {"Linux.Sys.Users::Root=ROOT"},
		"Linux.Sys.Groups":          {"Linux.Sys.Groups::Root=ROOT"},
		"Linux.Sys.BashHistory":     {"Linux.Sys.BashHistory::Root=ROOT"},
		"Linux.Ssh.AuthorizedKeys":  {"Linux.Ssh.AuthorizedKeys::Root=ROOT"},
		"Linux.Ssh.KnownHosts":      {"Linux.Ssh.KnownHosts::Root=ROOT"},
		"Linux.Ssh.Config":          {"Linux.Ssh.Config::Root=ROOT"},
		"Linux.Ssh.PrivateKeys":     {"Linux.Ssh.PrivateKeys::Root=ROOT"},
		"Linux.Sys.Crontab":         {"Linux.Sys.Crontab::Root=ROOT"},
		"Linux.Sys.Services":        {"Linux.Sys.Services::Root=ROOT", "HashUnits=Y"},
		"Linux.Persistence.Preload": {"Linux.Persistence.Preload::Root=ROOT"},
		"Linux.Persistence.Shell":   {"Linux.Persistence.Shell::Root=ROOT"},
		"Linux.Persistence.Boot":    {"Linux.Persistence.Boot::Root=ROOT"},
		"Linux.Persistence.Pam":     {"Linux.Persistence.Pam::Root=ROOT"},
		"Linux.Debian.Packages":     {"Linux.Debian.Packages::Root=ROOT"},
		"Linux.Alpine.Packages":     {"Linux.Alpine.Packages::Root=ROOT"},
		"Linux.Collect":             {"Linux.Collect::Root=ROOT"},
		"Linux.Sys.SUID":            {"Linux.Sys.SUID::Root=ROOT"},
		"Linux.Sys.LogFiles":        {"Linux.Sys.LogFiles::Root=ROOT", "MaxSize=40"},
		"MacOS.Collect":             {"MacOS.Collect::Root=ROOT"},
		"Windows.Collect":           {"Windows.Collect::Drive=ROOT"},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, args := range golden() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fixedHost(t)
			var given []string
			for _, a := range args {
				given = append(given, strings.ReplaceAll(a, "ROOT", root))
			}
			got := text(collect(t, name, given...), root)
			path := filepath.Join("testdata", "golden", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v: run go test with -update", err)
			}
			if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); d != "" {
				t.Errorf("the rows are not those of %s (-want +got):\n%s", path, d)
			}
		})
	}
}

// Every golden file belongs to a test, and every artifact that takes Root has
// one: a file that nobody compares would rot.
func TestGoldenIsComplete(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "golden", "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	cases := golden()
	for _, f := range files {
		if _, ok := cases[strings.TrimSuffix(filepath.Base(f), ".txt")]; !ok {
			t.Errorf("%s belongs to no test", f)
		}
	}
	r := artifacts.Embedded()
	for _, name := range r.Names() {
		a, err := r.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := a.Parameter("Root"); !ok || strings.HasSuffix(name, ".Triage") {
			continue
		}
		if _, ok := cases[name]; !ok {
			t.Errorf("%s takes Root and has no golden test", name)
		}
		if !slices.Contains(files, filepath.Join("testdata", "golden", name+".txt")) {
			t.Errorf("%s has no golden file", name)
		}
	}
}
