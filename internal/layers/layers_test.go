package layers

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

func TestTree(t *testing.T) {
	t.Parallel()
	packages, err := Load(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 5 {
		t.Fatalf("only %d packages found: the walk does not see the tree", len(packages))
	}
	for _, v := range Satchel().Check(packages) {
		t.Error(v)
	}
}

func TestViolationsAreCaught(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, file, source, want string
	}{
		{"upwards", "internal/spool/a.go", `package spool; import _ "satchel/container"`, "above it"},
		{"sideways", "internal/frame/a.go", `package frame; import _ "satchel/internal/flow"`, "sideways"},
		{"sideways between plugin areas", "vql/plugins/network/a.go", `package network; import _ "satchel/vql/plugins/process"`, "sideways"},
		{"build tags hide nothing", "internal/frame/a_windows.go", "//go:build windows\n\npackage frame\n\nimport _ \"satchel/internal/spool\"", "above it"},
		{"deep folders inherit", "container/internal/x/a.go", `package x; import _ "satchel/importer"`, "above it"},
		{"commands are imported by nobody", "importer/a.go", `package importer; import _ "satchel/cmd/internal/command"`, "above it"},
		{"test help stays in tests", "container/a.go", `package container; import _ "satchel/internal/fsx/fsxtest"`, "only tests"},
		{"vfilter", "internal/collector/a.go", `package collector; import _ "www.velocidex.com/golang/vfilter/types"`, "by vql only"},
		{"vfilter in a test", "artifacts/a_test.go", `package artifacts; import _ "www.velocidex.com/golang/vfilter"`, "by vql only"},
		{"zip", "container/a.go", `package container; import _ "archive/zip"`, "may be imported by"},
		{"a command line library", "server/store/a.go", `package store; import _ "github.com/urfave/cli/v2"`, "by cmd only"},
		{"a test library in the product", "vql/a.go", `package vql; import _ "pgregory.net/rapid"`, "may be imported by"},
		{"the lowest layer is standard library", "internal/flow/a.go", `package flow; import _ "golang.org/x/sync/errgroup"`, "may be imported by"},
		{"a newcomer", "vql/a.go", `package vql; import _ "example.org/new"`, "has no door"},
		{"cgo", "vql/a.go", `package vql; import "C"`, "may be imported by"},
		{"no layer", "extra/a.go", `package extra`, "has no layer"},
		{"a name that says nothing", "internal/flow/utils/a.go", `package utils`, "says nothing"},
		{"init", "vql/a.go", `package vql; func init() {}`, "init function"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := check(t, tt.file, tt.source)
			if len(got) != 1 || !strings.Contains(got[0].String(), tt.want) {
				t.Errorf("got %v, want one violation with %q", got, tt.want)
			}
		})
	}
}

func TestWhatIsAllowed(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, file, source string }{
		{"downwards", "container/a.go", `package container; import _ "satchel/internal/spool"`},
		{"over several layers", "cmd/collect/a.go", `package main; import _ "satchel/internal/flow"`},
		{"within one entry", "cmd/collect/a.go", `package main; import _ "satchel/cmd/internal/command"`},
		{"inner packages", "vql/a.go", `package vql; import _ "satchel/vql/internal/rows"`},
		{"the standard library", "internal/flow/a.go", `package flow; import _ "encoding/json"`},
		{"a door", "internal/zipx/a.go", `package zipx; import _ "github.com/klauspost/compress/flate"`},
		{"a version in the path", "vql/plugins/process/a.go", `package process; import _ "github.com/shirou/gopsutil/v4/process"`},
		{"tests reach up", "internal/flow/a_test.go", `package flow_test; import _ "satchel/container"`},
		{"tests use test help", "internal/spool/a_test.go", `package spool; import _ "satchel/internal/fsx/fsxtest"`},
		{"an independent reader in a test", "container/a_test.go", `package container; import _ "archive/zip"`},
		{"method init", "vql/a.go", `package vql; type T int; func (T) init() {}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := check(t, tt.file, tt.source); len(got) != 0 {
				t.Errorf("got %v, want nothing", got)
			}
		})
	}
}

func TestLoadSkips(t *testing.T) {
	t.Parallel()
	bad := &fstest.MapFile{Data: []byte("package utils")}
	packages, err := Load(fstest.MapFS{
		"testdata/a.go":         bad,
		".hidden/a.go":          bad,
		"build/a.go":            bad,
		"internal/tools/go.mod": {Data: []byte("module other")},
		"internal/tools/a.go":   bad,
	})
	if err != nil || len(packages) != 0 {
		t.Errorf("got %v, %v, want nothing", packages, err)
	}
	if _, err := Load(fstest.MapFS{"a.go": {Data: []byte("not go")}}); err == nil {
		t.Error("a file that does not parse was passed over")
	}
}

func check(t *testing.T, file, source string) []Violation {
	t.Helper()
	packages, err := Load(fstest.MapFS{file: {Data: []byte(source)}})
	if err != nil {
		t.Fatal(err)
	}
	return Satchel().Check(packages)
}
