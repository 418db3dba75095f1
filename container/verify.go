package container

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"satchel/internal/fsx"
	"satchel/internal/zipx"
)

// VerifyResult is what Verify found.
type VerifyResult struct {
	Path     string    `json:"path"`
	OK       bool      `json:"ok"`       // the file is whole and unaltered
	Complete bool      `json:"complete"` // and so is the collection: it was closed, nothing of it is cut off
	Altered  bool      `json:"altered"`  // bytes are not those that were written
	Origin   string    `json:"origin"`   // proven or unproven
	SHA256   string    `json:"sha256,omitempty"`
	Members  int64     `json:"members"`
	Problems []Problem `json:"problems"`
}

// Verify reads a container to its last byte and finds whatever differs from
// what was written: it holds every record against the manifest, inflates every
// member, rebuilds the central directory byte for byte and accounts for every
// byte of the file. A cut container is held against its spool. The error is of
// opening or reading; what is wrong with the container is in the result.
func Verify(ctx context.Context, path string, o ReadOptions) (VerifyResult, error) {
	res := VerifyResult{Path: path, Origin: "unproven", Problems: []Problem{}}
	r, err := OpenFile(path, o)
	if err != nil {
		return res, err
	}
	defer r.Close()
	c := &checker{r: r, dst: io.Discard, deep: true, whole: sha256.New()}
	if err := c.run(ctx); err != nil {
		return res, err
	}
	res.Members, res.Altered = c.count, c.altered
	res.Complete = r.info.Complete
	if r.cut && len(c.problems) == 0 {
		res.Altered = c.damagedAfterClose(r)
	}
	if !r.cut {
		res.SHA256 = hex.EncodeToString(c.whole.Sum(nil))
	}
	res.Problems = append(res.Problems, c.problems...)
	res.Problems = append(res.Problems, r.info.Problems...)
	// A recovered container is whole and unaltered, though the collection that
	// it holds was cut.
	res.OK = !r.cut && !res.Altered && len(c.problems) == 0
	return res, nil
}

// Copy writes the bytes of a container to dst in one pass and checks them on
// the way: the hash of each raw record, the central directory and the hash of
// the whole. Of a cut container, or one without a manifest, the bytes are
// copied as they are. It returns the SHA-256 of the whole, in hex. The error is
// of reading or writing.
func Copy(ctx context.Context, dst io.Writer, zip io.ReaderAt, size int64, o ReadOptions) (sum string, problems []Problem, err error) {
	arch, err := zipx.Open(zip, size, o.limits())
	if err != nil || !wholeArchive(arch, zip) {
		h := sha256.New()
		_, err := io.Copy(io.MultiWriter(dst, h), &ctxReader{ctx, io.NewSectionReader(zip, 0, size)})
		return hex.EncodeToString(h.Sum(nil)), nil, err
	}
	r := &Reader{arch: arch, in: zip, size: size}
	c := &checker{r: r, dst: dst, whole: sha256.New()}
	if err := c.run(ctx); err != nil {
		return "", nil, err
	}
	return hex.EncodeToString(c.whole.Sum(nil)), c.problems, nil
}

// ctxReader ends when its context does.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *ctxReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// checker walks a container from its first byte to its last.
type checker struct {
	r    *Reader
	dst  io.Writer
	deep bool // inflate every member

	pos      int64
	whole    hash.Hash
	dir      hash.Hash
	dirSize  int64
	count    int64
	chain    chain
	altered  bool
	problems []Problem
	buf      []byte
}

func (c *checker) problem(member, what string, offset int64) {
	c.altered = true
	if len(c.problems) < 10_000 {
		c.problems = append(c.problems, Problem{Member: member, Problem: what, Offset: offset})
	}
}

func (c *checker) run(ctx context.Context) error {
	c.dir = sha256.New()
	c.buf = make([]byte, 256<<10)
	manifest, ok, err := c.r.member(memberManifest)
	if err != nil {
		c.problem("", err.Error(), c.r.arch.DirOffset())
	}
	if err != nil || !ok {
		return c.foreign(ctx)
	}
	if err := c.byManifest(ctx, &manifest); err != nil {
		return err
	}
	return c.ending(ctx, &manifest)
}

// byManifest holds the records against the manifest.
func (c *checker) byManifest(ctx context.Context, m *zipx.Member) error {
	rc, err := c.r.arch.Open(m)
	if err != nil {
		c.problem(memberManifest, err.Error(), int64(m.Offset))
		return c.contents(ctx)
	}
	defer rc.Close()
	c.chain = newChain(c.r.info.ID)
	var fatal error
	err = eachListItem(rc, "members", func(dec *json.Decoder) error {
		var mm manifestMember
		if err := dec.Decode(&mm); err != nil {
			return err
		}
		fatal = c.record(ctx, &mm)
		return fatal
	}, func(key string, v json.RawMessage) error { return c.manifestField(key, v) })
	if fatal != nil {
		return fatal
	}
	if err == nil {
		_, err = io.Copy(io.Discard, rc) // to the end: its CRC is checked there
	}
	if err != nil {
		c.problem(memberManifest, "cannot be read to its end: "+err.Error(), int64(m.Offset))
		return c.contents(ctx)
	}
	return nil
}

// manifestField checks what stands around the list of members.
func (c *checker) manifestField(key string, v json.RawMessage) error {
	switch key {
	case "container_id":
		var id string
		if json.Unmarshal(v, &id) == nil {
			c.chain = newChain(id)
		}
		if c.r.info.ID != "" && id != c.r.info.ID {
			c.problem(memberManifest, "belongs to another container", -1)
		}
	case "chain":
		var want string
		if err := json.Unmarshal(v, &want); err != nil || want != hex.EncodeToString(c.chain[:]) {
			c.problem(memberManifest, "the hash chain over the records does not fit", -1)
		}
	}
	return nil
}

// record checks one record of the manifest against the file.
func (c *checker) record(ctx context.Context, mm *manifestMember) error {
	if mm.Offset != c.pos || mm.Length < 0 || mm.Length > c.r.arch.DirOffset()-c.pos {
		c.problem(mm.Name, fmt.Sprintf("the manifest places it at %d, where the record before ends at %d", mm.Offset, c.pos), mm.Offset)
		return nil
	}
	raw := sha256.New()
	if err := c.pass(ctx, mm.Length, raw); err != nil {
		return err
	}
	var sum [32]byte
	raw.Sum(sum[:0])
	c.chain = c.chain.next(sum)
	if hex.EncodeToString(sum[:]) != mm.Raw {
		c.problem(mm.Name, "its bytes are not those that were written", mm.Offset)
	}
	if mm.Name == "" {
		return nil // bytes between members of a recovered container
	}
	z := mm.zip()
	c.addLine(&z)
	if c.deep {
		if err := c.content(&z, mm.SHA256); err != nil {
			c.problem(mm.Name, err.Error(), mm.Offset)
		}
	}
	return nil
}

func (mm *manifestMember) zip() zipx.Member {
	z := zipx.Member{
		Name: mm.Name, Method: mm.Method, Flags: mm.Flags, CRC32: mm.CRC32, CompressedSize: uint64(mm.Stored), Size: uint64(mm.Size),
		Offset: uint64(mm.Offset), Descriptor: mm.Descriptor,
	}
	if mm.Modified != 0 {
		z.Modified = time.Unix(mm.Modified, 0).UTC()
	}
	return z
}

// addLine adds the line of a member to the directory that is rebuilt.
func (c *checker) addLine(z *zipx.Member) {
	line := zipx.AppendCentral(c.buf[:0], z)
	c.dir.Write(line)
	c.dirSize += int64(len(line))
	c.count++
}

// content inflates a member and holds it against its hash.
func (c *checker) content(z *zipx.Member, want string) error {
	rc, err := c.r.arch.Open(z)
	if err != nil {
		return err
	}
	defer rc.Close()
	var sum [32]byte
	if err := hashReader(rc, &sum); err != nil {
		return err
	}
	if want != "" && hex.EncodeToString(sum[:]) != want {
		return errors.New("its content is not what was written")
	}
	return nil
}

// pass copies the next n bytes of the file to dst and into the hashes.
func (c *checker) pass(ctx context.Context, n int64, more hash.Hash) error {
	for n > 0 {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		p := c.buf[:min(n, int64(len(c.buf)))]
		if got, err := c.r.in.ReadAt(p, c.pos); got < len(p) {
			return fmt.Errorf("read the container at %d: %w", c.pos+int64(got), noEOF(err))
		}
		c.whole.Write(p)
		if more != nil {
			more.Write(p)
		}
		if _, err := c.dst.Write(p); err != nil {
			return err
		}
		c.pos += int64(len(p))
		n -= int64(len(p))
	}
	return nil
}

// ending checks the manifest's own place, the central directory and the end.
func (c *checker) ending(ctx context.Context, m *zipx.Member) error {
	a := c.r.arch
	if len(c.problems) == 0 && int64(m.Offset) != c.pos {
		c.problem(memberManifest, fmt.Sprintf("%d bytes before it belong to nothing", int64(m.Offset)-c.pos), c.pos)
	}
	if len(c.problems) == 0 {
		if _, to, err := a.RecordSpan(m); err != nil || to != a.DirOffset() {
			c.problem(memberManifest, "bytes between it and the central directory belong to nothing", int64(m.Offset))
		}
	}
	c.addLine(m)
	if err := c.pass(ctx, a.DirOffset()-c.pos, nil); err != nil {
		return err
	}
	actual := sha256.New()
	start := c.pos
	if err := c.pass(ctx, min(a.DirSize(), c.r.size-c.pos), actual); err != nil {
		return err
	}
	if !bytes.Equal(actual.Sum(nil), c.dir.Sum(nil)) && len(c.problems) == 0 {
		c.problem("", "the central directory is not the one that the members give", start)
	}
	return c.endRecord(ctx, start)
}

// endRecord checks the end records and the hash in the archive comment.
func (c *checker) endRecord(ctx context.Context, dirStart int64) error {
	a := c.r.arch
	endAt := c.pos
	want := zipx.AppendEnd(nil, uint64(c.count), dirStart, a.DirSize(), a.Comment())
	got := make([]byte, min(c.r.size-endAt, int64(len(want))+1))
	if n, err := c.r.in.ReadAt(got, endAt); n < len(got) {
		return fmt.Errorf("read the end of the container: %w", noEOF(err))
	}
	hashLen := int64(2 * sha256.Size)
	if err := c.pass(ctx, max(c.r.size-endAt-hashLen, 0), nil); err != nil {
		return err
	}
	sum := hex.EncodeToString(c.whole.Sum(nil))
	if err := c.pass(ctx, c.r.size-c.pos, nil); err != nil {
		return err
	}
	switch {
	case len(c.problems) > 0:
	case !bytes.Equal(got, want):
		c.problem("", "the end of the archive is not the one that was written", endAt)
	case c.r.cut:
	case a.Comment() != commentPrefix+sum:
		c.problem("", "the hash in the archive comment does not fit the file", c.r.size-hashLen)
	}
	return nil
}

// foreign checks a container without a manifest by the CRC of its members.
func (c *checker) foreign(ctx context.Context) error {
	if c.r.info.Format == "satchel" && !c.r.cut {
		c.problem(memberManifest, "is missing", -1)
	}
	if err := c.contents(ctx); err != nil {
		return err
	}
	return c.pass(ctx, c.r.size-c.pos, nil)
}

// contents inflates every member of the directory.
func (c *checker) contents(ctx context.Context) error {
	for m, err := range c.r.arch.Members() {
		if err != nil {
			c.problem("", "the central directory cannot be read: "+err.Error(), c.r.arch.DirOffset())
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.count++
		if !c.deep || m.Dir {
			continue
		}
		err = c.content(&m, "")
		if err == nil { // the descriptor behind the data must fit too
			_, _, err = c.r.arch.RecordSpan(&m)
		}
		if err != nil {
			c.problem(m.Name, err.Error(), int64(m.Offset))
		}
	}
	return nil
}

// damagedAfterClose tells whether a file that looks cut was altered. When its
// manifest is there, all that follows it is known: what the file has instead is
// either the beginning of that, or something else.
func (c *checker) damagedAfterClose(r *Reader) bool {
	b := r.rebuilt
	if b.damaged {
		return true
	}
	if !b.restored {
		return false
	}
	want, err := b.expectedEnd()
	if err != nil {
		return false
	}
	left := b.zipSize - b.cut
	got := make([]byte, min(left, int64(len(want))))
	if n, _ := b.zip.ReadAt(got, b.cut); n < len(got) {
		return false
	}
	if left < int64(len(want)) && bytes.Equal(got, want[:len(got)]) {
		return false
	}
	c.problem("", "the end of the archive is not the one that was written", b.cut)
	return true
}

// expectedEnd makes the central directory and the end of a container from the
// manifest that was found in it.
func (b *rebuilt) expectedEnd() ([]byte, error) {
	s := zipx.NewSalvager(b.zip, b.closed.Start, b.closed.End, b.limits())
	rc, err := s.Open(b.closed)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	var out []byte
	var count uint64
	err = eachListItem(rc, "members", func(dec *json.Decoder) error {
		var mm manifestMember
		if err := dec.Decode(&mm); err != nil {
			return err
		}
		if mm.Name != "" {
			z := mm.zip()
			out = zipx.AppendCentral(out, &z)
			count++
		}
		if len(out) > 1<<30 {
			return errors.New("the central directory is too large to be rebuilt in memory")
		}
		return nil
	}, nil)
	if err != nil {
		return nil, err
	}
	out = zipx.AppendCentral(out, &b.closed.Member)
	blank := commentPrefix + string(bytes.Repeat([]byte{'0'}, 2*sha256.Size))
	out = zipx.AppendEnd(out, count+1, b.closed.End, int64(len(out)), blank)
	out = out[:len(out)-2*sha256.Size]
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(b.zip, 0, b.closed.End)); err != nil {
		return nil, err
	}
	h.Write(out)
	return append(out, hex.EncodeToString(h.Sum(nil))...), nil
}

// Recover makes a whole container at out from a cut one, or copies a whole one.
// The evidence is not touched; out must not exist.
func Recover(ctx context.Context, path, out string, o ReadOptions) (Summary, error) {
	r, err := OpenFile(path, o)
	if err != nil {
		return Summary{}, err
	}
	defer r.Close()
	f, err := os.OpenFile(out, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return Summary{}, fmt.Errorf("recover to %s: %w", out, err)
	}
	sum, err := r.recoverTo(ctx, f, o)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return Summary{}, errors.Join(fmt.Errorf("recover %s: %w", path, err), os.Remove(out))
	}
	if err := fsx.OS().SyncDir(filepath.Dir(out)); err != nil {
		return Summary{}, fmt.Errorf("recover %s: sync the directory of %s: %w", path, out, err)
	}
	sum.Path = out
	return sum, nil
}

func (r *Reader) recoverTo(ctx context.Context, f io.Writer, o ReadOptions) (Summary, error) {
	dst := newOutput(f)
	n := r.size
	if r.cut {
		n = r.rebuilt.cut
	}
	base := r.in
	if r.cut {
		base = r.rebuilt.zip
	}
	if _, err := io.Copy(struct{ io.Writer }{dst}, &ctxReader{ctx, io.NewSectionReader(base, 0, n)}); err != nil {
		return Summary{}, err
	}
	info := r.Info()
	sum := Summary{ID: info.ID, Rows: info.Rows, Uploads: info.Uploads, UploadBytes: info.UploadBytes, Logs: info.Logs}
	if r.cut {
		// The first tail was made to be read; the one to keep is made anew, with
		// the hash of the whole.
		b, err := rebuild(r.rebuilt.zip, r.rebuilt.zipSize, r.rebuilt.fr, o)
		if err != nil {
			return Summary{}, err
		}
		if err := b.writeTail(ctx, dst, 5, workers(), b.ended); err != nil {
			return Summary{}, err
		}
		sum.Partial = b.led.partial
	}
	if _, err := dst.flush(); err != nil {
		return Summary{}, err
	}
	sum.Bytes, sum.SHA256 = dst.offset(), hex.EncodeToString(dst.sum())
	return sum, nil
}
