package vql_test

import (
	"slices"
	"testing"

	"satchel/vql"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		style vql.Style
		text  string
		want  []string
		print string
	}{
		{vql.Posix, "/", nil, "/"},
		{vql.Posix, "", nil, "/"},
		{vql.Posix, "/a/b", []string{"a", "b"}, "/a/b"},
		{vql.Posix, "a//b/./c/", []string{"a", "b", "c"}, "/a/b/c"},
		{vql.Posix, "/a/../b", []string{"a", "..", "b"}, "/a/../b"},
		{vql.Posix, "/a\\b/\xff", []string{"a\\b", "\xff"}, "/a\\b/\xff"},
		{vql.Windows, `C:\Windows\System32`, []string{"C:", "Windows", "System32"}, `C:\Windows\System32`},
		{vql.Windows, `C:/Windows/`, []string{"C:", "Windows"}, `C:\Windows`},
		{vql.Windows, `\\.\C:\$MFT`, []string{`\\.\C:`, "$MFT"}, `\\.\C:\$MFT`},
		{vql.Windows, `\\?\C:\x`, []string{`\\?\C:`, "x"}, `\\?\C:\x`},
		{vql.Windows, `\\.\PhysicalDrive0`, []string{`\\.\PhysicalDrive0`}, `\\.\PhysicalDrive0`},
		{vql.Windows, `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1\x`, []string{`\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1`, "x"}, `\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy1\x`},
		{vql.Windows, `\\server\share\a`, []string{`\\server\share`, "a"}, `\\server\share\a`},
		{vql.Windows, `\\server`, []string{`\\server`}, `\\server`},
		{vql.Windows, `\\.\`, []string{`\\.`}, `\\.`},
		{vql.Windows, ``, nil, ``},
		{vql.Registry, `HKLM\Software\Microsoft`, []string{"HKEY_LOCAL_MACHINE", "Software", "Microsoft"}, `HKEY_LOCAL_MACHINE\Software\Microsoft`},
		{vql.Registry, `hkey_users\S-1-5\"a\b"\"say ""hi"""`, []string{"hkey_users", "S-1-5", `a\b`, `say "hi"`}, `hkey_users\S-1-5\"a\b"\"say ""hi"""`},
		{vql.Registry, `HKCU/x`, []string{"HKEY_CURRENT_USER", "x"}, `HKEY_CURRENT_USER\x`},
		{vql.Generic, `/a/"b/c"/d`, []string{"a", "b/c", "d"}, `/a/"b/c"/d`},
		{vql.Generic, `a/"unended`, []string{"a", "unended"}, `/a/unended`},
		{vql.Posix, `{"Path":"/x/y"}`, []string{"x", "y"}, "/x/y"},
		{vql.Posix, `{not a pathspec/x`, []string{"{not a pathspec", "x"}, "/{not a pathspec/x"},
	} {
		p := vql.ParsePath(c.style, c.text)
		if diff := cmp.Diff(c.want, p.Components()); diff != "" && len(c.want)+len(p.Components()) > 0 {
			t.Errorf("%q: %s", c.text, diff)
		}
		if got := p.String(); got != c.print {
			t.Errorf("%q prints as %q, want %q", c.text, got, c.print)
		}
	}
}

func TestPathIsNeverChanged(t *testing.T) {
	t.Parallel()
	p := vql.NewPath(vql.Posix, "a", "b", "c")
	d := p.Dir()
	x, y := d.Join("x"), d.Join("y")
	_ = p.Dir().Dir().Join("1", "2", "3")
	if p.String() != "/a/b/c" || x.String() != "/a/b/x" || y.String() != "/a/b/y" {
		t.Fatal(p, x, y)
	}
	if got := p.Trim(vql.NewPath(vql.Posix, "a")); got.String() != "/b/c" {
		t.Error(got)
	}
	if got := p.Trim(vql.NewPath(vql.Posix, "b")); got.String() != "/a/b/c" {
		t.Error(got)
	}
	if root := (vql.Path{}); !root.IsRoot() || root.Base() != "" || !root.Dir().IsRoot() || root.Delegate() != nil {
		t.Error(root)
	}
	if got := p.WithStyle(vql.Windows); got.String() != `a\b\c` || got.Style() != vql.Windows {
		t.Error(got)
	}
}

func TestNestedPath(t *testing.T) {
	t.Parallel()
	p := vql.NewPath(vql.Generic, "in", "f/g").WithDelegate("zip", vql.NewPath(vql.Posix, "x y.zip"))
	want := `{"DelegateAccessor":"zip","DelegatePath":"/x y.zip","Path":"/in/\"f/g\""}`
	if p.String() != want {
		t.Fatal(p.String())
	}
	back := vql.ParsePath(vql.Generic, p.String())
	if back.String() != want || back.Delegate().Accessor != "zip" || back.Delegate().Path.Base() != "x y.zip" || back.Base() != "f/g" {
		t.Fatal(back.String())
	}
	if got := p.Dir().String(); got != `{"DelegateAccessor":"zip","DelegatePath":"/x y.zip","Path":"/in"}` {
		t.Error(got)
	}
	windows := vql.ParsePath(vql.Generic, `{"DelegateAccessor":"raw_reg","DelegatePath":"C:\\x","Path":"/k"}`)
	if got := windows.Delegate().Path.Components(); !slices.Equal(got, []string{"C:", "x"}) {
		t.Error(got)
	}
}

// What a style prints it reads back, for the components that it can hold.
func TestPathRoundTrip(t *testing.T) {
	t.Parallel()
	anything := rapid.Custom(func(t *rapid.T) string { return string(rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "component")) })
	for style, component := range map[vql.Style]*rapid.Generator[string]{
		vql.Posix:    rapid.StringMatching(`[^/.{]{1,8}`),
		vql.Windows:  rapid.StringMatching(`[^/\\.{]{1,8}`),
		vql.Registry: anything,
		vql.Generic:  anything,
	} {
		rapid.Check(t, func(t *rapid.T) {
			components := rapid.SliceOfN(component, 1, 5).Draw(t, "components")
			if style == vql.Registry {
				components[0] = "HKEY_USERS"
			}
			p := vql.NewPath(style, components...)
			back := vql.ParsePath(style, p.String())
			if !slices.Equal(components, back.Components()) {
				t.Fatalf("%q printed as %q and read as %q", components, p.String(), back.Components())
			}
		})
	}
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{`/a/b`, `\\.\C:\x`, `HKLM\"a\b"`, `{"DelegateAccessor":"zip","DelegatePath":"{\"Path\":\"x\"}","Path":"/a"}`, `"`, `\\?\GLOBALROOT\Device\`} {
		f.Add(uint8(0), seed)
		f.Add(uint8(1), seed)
		f.Add(uint8(2), seed)
		f.Add(uint8(3), seed)
	}
	f.Fuzz(func(t *testing.T, style uint8, text string) {
		p := vql.ParsePath(vql.Style(style%4), text)
		_ = p.Join("x").Dir().Base()
		if p.Delegate() != nil || style%4 == 1 {
			return
		}
		if again := vql.ParsePath(p.Style(), p.Inner()); again.Inner() != p.Inner() && len(p.Components()) > 0 && p.Inner()[0] != '{' {
			t.Fatalf("%q prints as %q, and that as %q", text, p.Inner(), again.Inner())
		}
	})
}
