package importer

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"satchel/internal/zipx"
)

// mark is what a file of another tool begins with.
type mark struct {
	magic string
	at    int
	what  string
}

func marks() []mark {
	return []mark{
		{"ENCRYPTEDACQUIRE", 0, "encrypted container of acquire: not read yet"},
		{"age-encryption.org/v1", 0, "file encrypted with age: not read yet"},
		{"-----BEGIN AGE ENCRYPTED FILE-----", 0, "file encrypted with age: not read yet"},
		{"JRNL", 0, "DFIR-ORC journal stream: not read yet"},
		{"SQLite format 3\x00", 0, "SQLite database (a forensicstore?): not read yet"},
		{"vhdxfile", 0, "VHDX disk image: not read yet"},
		{"conectix", 0, "VHD disk image: not read yet"},
		{"7z\xbc\xaf\x27\x1c", 0, "7-Zip archive (DFIR-ORC?): not read yet"},
		{"Rar!\x1a\x07", 0, "RAR archive: not read"},
		{"\x1f\x8b", 0, "gzip file (a collection of UAC or acquire?): not read yet"},
		{"\x28\xb5\x2f\xfd", 0, "zstd file (an osquery carve?): not read yet"},
		{"BZh", 0, "bzip2 file: not read yet"},
		{"\xfd7zXZ\x00", 0, "xz file: not read yet"},
		{"ustar", 257, "tar archive (a collection of UAC or acquire?): not read yet"},
		{"EVF\x09\x0d\x0a\xff\x00", 0, "E01 disk image: not read yet"},
		{"ElfFile\x00", 0, "Windows event log, not a collection"},
		{"regf", 0, "Windows registry hive, not a collection"},
		{"MZ", 0, "Windows program, not a collection"},
		{"\x7fELF", 0, "Linux program, not a collection"},
	}
}

// maxForeignMembers bounds how many members are looked at to name a tool.
const maxForeignMembers = 20_000

// describe says in words what a file is that is no container of ours. It reads
// the first bytes and, of a ZIP, the names of the members.
func describe(zip *io.SectionReader) string {
	if zip == nil {
		return "not a spool of a collection"
	}
	if zip.Size() == 0 {
		return "empty file"
	}
	head := make([]byte, 512)
	n, err := zip.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err.Error()
	}
	head = head[:n]
	for _, m := range marks() {
		if len(head) > m.at && bytes.HasPrefix(head[m.at:], []byte(m.magic)) {
			return m.what
		}
	}
	if len(bytes.Trim(head, "\x00")) == 0 {
		return "nothing but zeros at the beginning: not a container, or one on a damaged disk"
	}
	a, err := zipx.Open(zip, zip.Size(), zipx.Limits{})
	if err != nil {
		if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
			return "ZIP file that is cut or damaged, and no collection can be recognised in what is left"
		}
		return "not a collection container, and no format that is known here"
	}
	return describeMembers(a)
}

// describeMembers names the tool by the members of a ZIP.
func describeMembers(a *zipx.Archive) string {
	what, seen := "ZIP archive, but not a collection container", 0
	var artifacts, files bool
	for m, err := range a.Members() {
		if seen++; err != nil || seen > maxForeignMembers {
			break
		}
		name := strings.TrimPrefix(m.Name, "./")
		base := name[strings.LastIndexAny(name, `/\`)+1:]
		top, _, _ := strings.Cut(name, "/")
		switch {
		case name == "data.zip" && (m.Method == zipx.AES || m.Flags&1 != 0):
			return "encrypted Velociraptor container: not read yet"
		case name == "hunt_info.json":
			return "Velociraptor hunt export: not read yet"
		case name == "uac.log" || top == "[root]":
			return "collection of UAC: not read yet"
		case strings.HasPrefix(name, "fs/$rootfs$/"), strings.HasPrefix(name, "fs/c:/"),
			strings.HasPrefix(name, "fs/$fs$/"), strings.Contains(name, "$metadata$/"):
			return "collection of acquire: not read yet"
		case strings.HasSuffix(base, "_copylog.csv"), strings.HasSuffix(base, "_skiplog.csv"),
			strings.HasSuffix(base, "_ConsoleLog.txt"), strings.HasSuffix(name, "/$Extend/$J"):
			return "collection of KAPE: not read yet"
		case base == "GetThis.csv" || strings.HasPrefix(base, "NTFSInfo"):
			return "collection of DFIR-ORC: not read yet"
		case base == "MANIFEST" && strings.Count(name, "/") == 1:
			what = "GRR download: not read yet"
		case strings.HasPrefix(base, "CyLR") && strings.HasSuffix(base, ".log"):
			return "collection of CyLR: not read yet"
		case m.Flags&1 != 0 || m.Method == zipx.AES:
			what = "encrypted ZIP archive: not read yet"
		}
		artifacts = artifacts || top == "artifacts"
		files = files || top == "files"
	}
	if artifacts && files {
		return "collection of artifactcollector: not read yet"
	}
	return what
}
