package importer

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"satchel/container"
)

// relation says how two contents stand to each other. Both are true when they
// hold the same rows and uploads.
type relation struct {
	aInB bool // every row and upload byte of a is there in b, at the same place
	bInA bool
}

func (r *relation) and(o relation) {
	r.aInB, r.bInA = r.aInB && o.aInB, r.bInA && o.bInA
}

func (r relation) none() bool { return !r.aInB && !r.bInA }

// maxIncomplete bounds how many unfinished uploads of one container are
// compared. A collector has as many as it reads files at once.
const maxIncomplete = 10_000

// compare holds two versions of a flow against each other: the rows of every
// source byte by byte, whole uploads by the hash that was written with them,
// unfinished ones byte by byte. What cannot be read counts as missing. With
// prove the uploads of b that a has too are read and must have their hash: a
// forged container may claim any. Its memory is some 50 bytes for each upload
// of a.
func compare(ctx context.Context, a, b Evidence, prove bool) (relation, error) {
	rel := relation{aInB: true, bInA: true}
	names := map[string]int{}
	for i, ev := range []Evidence{a, b} {
		for _, s := range ev.Sources() {
			names[s.Name] |= 1 << i
		}
	}
	for name, where := range names {
		if rel.none() {
			return rel, nil
		}
		r, err := compareRows(ctx, a, b, name, where)
		if err != nil {
			return rel, err
		}
		rel.and(r)
	}
	if rel.none() {
		return rel, nil
	}
	c := uploadComparison{a: a, b: b, prove: prove, whole: map[fingerprint]int32{}, brokenA: map[fingerprint]container.UploadInfo{},
		brokenB: map[fingerprint]container.UploadInfo{}, rel: rel}
	if err := c.run(ctx); err != nil {
		return rel, err
	}
	return c.rel, nil
}

// compareRows compares the rows of one source; where has bit 0 for a, 1 for b.
func compareRows(ctx context.Context, a, b Evidence, name string, where int) (relation, error) {
	ra, err := rowsOf(ctx, a, name, where&1 != 0)
	if err != nil {
		return relation{}, err
	}
	defer ra.Close()
	rb, err := rowsOf(ctx, b, name, where&2 != 0)
	if err != nil {
		return relation{}, err
	}
	defer rb.Close()
	return compareStreams(ctx, ra, rb)
}

func rowsOf(ctx context.Context, ev Evidence, name string, has bool) (io.ReadCloser, error) {
	if !has {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	r, err := ev.Rows(ctx, name)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return io.NopCloser(bytes.NewReader(nil)), nil // damaged: nothing of it is there
	}
	return r, nil
}

// compareStreams says which of two streams is a prefix of the other. A stream
// ends where it cannot be read any more.
func compareStreams(ctx context.Context, ra, rb io.Reader) (relation, error) {
	a, b := bufio.NewReaderSize(ra, 64<<10), bufio.NewReaderSize(rb, 64<<10)
	for {
		if ctx.Err() != nil {
			return relation{}, context.Cause(ctx)
		}
		pa, _ := a.Peek(1)
		pb, _ := b.Peek(1)
		if len(pa) == 0 || len(pb) == 0 {
			return relation{aInB: len(pa) == 0, bInA: len(pb) == 0}, nil
		}
		n := min(a.Buffered(), b.Buffered())
		pa, _ = a.Peek(n)
		pb, _ = b.Peek(n)
		if !bytes.Equal(pa, pb) {
			return relation{}, nil
		}
		a.Discard(n) //nolint:errcheck // buffered
		b.Discard(n) //nolint:errcheck // buffered
	}
}

// fingerprint is the begin of a SHA-256 over what identifies an upload.
type fingerprint [16]byte

// uploadComparison holds the uploads of two versions against each other.
type uploadComparison struct {
	a, b             Evidence
	prove            bool
	whole            map[fingerprint]int32 // whole uploads of a that b has not shown yet, by name and content
	brokenA, brokenB map[fingerprint]container.UploadInfo
	rel              relation
}

func (c *uploadComparison) run(ctx context.Context) error {
	err := eachUpload(ctx, c.a, func(u container.UploadInfo, whole bool) error {
		if whole {
			c.whole[contentKey(u)]++
			return nil
		}
		return keepBroken(c.brokenA, u)
	})
	if err == nil {
		err = eachUpload(ctx, c.b, func(u container.UploadInfo, whole bool) error { return c.matchB(ctx, u, whole) })
	}
	if err == nil && c.rel.bInA && len(c.brokenB) > 0 {
		err = eachUpload(ctx, c.a, func(u container.UploadInfo, whole bool) error { return c.matchA(ctx, u, whole) })
	}
	if errors.Is(err, errTooManyBroken) {
		c.rel = relation{}
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range c.whole {
		c.rel.aInB = c.rel.aInB && n == 0
	}
	c.rel.aInB = c.rel.aInB && len(c.brokenA) == 0
	c.rel.bInA = c.rel.bInA && len(c.brokenB) == 0
	return nil
}

// matchB looks for an upload of b in a.
func (c *uploadComparison) matchB(ctx context.Context, u container.UploadInfo, whole bool) error {
	if whole {
		if key := contentKey(u); c.whole[key] > 0 {
			if c.prove {
				if proven, err := isProven(ctx, c.b, u); err != nil || !proven {
					c.rel = relation{}
					return err
				}
			}
			if c.whole[key]--; c.whole[key] == 0 {
				delete(c.whole, key)
			}
			return nil
		}
	}
	old, ok := c.brokenA[nameKey(u)]
	if ok {
		rel, err := compareMembers(ctx, c.a, c.b, old, u)
		if err != nil {
			return err
		}
		delete(c.brokenA, nameKey(u))
		// What a knows to be unfinished and b to be whole is more in b even when
		// no byte came after.
		rel.bInA = rel.bInA && !whole
		c.rel.and(rel)
		return nil
	}
	if whole {
		c.rel.bInA = false
		return nil
	}
	return keepBroken(c.brokenB, u)
}

// matchA looks for whole uploads of a that b has only begun.
func (c *uploadComparison) matchA(ctx context.Context, u container.UploadInfo, whole bool) error {
	broken, ok := c.brokenB[nameKey(u)]
	if !ok || !whole || c.whole[contentKey(u)] == 0 {
		return nil
	}
	rel, err := compareMembers(ctx, c.a, c.b, u, broken)
	if err != nil {
		return err
	}
	delete(c.brokenB, nameKey(u))
	rel.aInB = false
	c.rel.and(rel)
	return nil
}

var errTooManyBroken = errors.New("too many unfinished uploads to compare")

func keepBroken(m map[fingerprint]container.UploadInfo, u container.UploadInfo) error {
	if u.StoredSize == 0 && u.Member == "" {
		return nil // nothing of it is there
	}
	if len(m) == maxIncomplete {
		return errTooManyBroken
	}
	m[nameKey(u)] = u
	return nil
}

// eachUpload calls f with every upload record, and whether it is whole with a
// known hash. Foreign containers have no hashes: their bytes are read. A record
// that cannot be read is not there.
func eachUpload(ctx context.Context, ev Evidence, f func(u container.UploadInfo, whole bool) error) error {
	for u, err := range ev.Uploads(ctx) {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			continue
		}
		whole := u.Complete
		if whole && u.SHA256 == "" {
			sum, err := hashMembers(ctx, ev, u)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			u.SHA256, whole = sum, err == nil
		}
		if err := f(u, whole); err != nil {
			return err
		}
	}
	return nil
}

// isProven says whether the bytes of an upload have the hash that is written
// with it.
func isProven(ctx context.Context, ev Evidence, u container.UploadInfo) (bool, error) {
	sum, err := hashMembers(ctx, ev, u)
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	return err == nil && strings.EqualFold(sum, u.SHA256), nil
}

func hashMembers(ctx context.Context, ev Evidence, u container.UploadInfo) (string, error) {
	r, err := ev.OpenStored(u)
	if err != nil {
		return "", err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, r}); err != nil {
		return "", fmt.Errorf("hash %s: %w", u.Member, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// storedOf opens the bytes of an upload as they are stored; what cannot be
// opened has none.
func storedOf(ev Evidence, u container.UploadInfo) io.ReadCloser {
	r, err := ev.OpenStored(u)
	if err != nil {
		return io.NopCloser(bytes.NewReader(nil))
	}
	return r
}

func compareMembers(ctx context.Context, a, b Evidence, ua, ub container.UploadInfo) (relation, error) {
	ra := storedOf(a, ua)
	defer ra.Close()
	rb := storedOf(b, ub)
	defer rb.Close()
	return compareStreams(ctx, ra, rb)
}

// contextReader stops a copy when the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c contextReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// nameKey identifies an upload by what it was stored as.
func nameKey(u container.UploadInfo) fingerprint {
	h := sha256.New()
	writeName(h, u)
	return fingerprint(h.Sum(nil)[:16])
}

// contentKey identifies an upload by name and content.
func contentKey(u container.UploadInfo) fingerprint {
	h := sha256.New()
	writeName(h, u)
	fmt.Fprintf(h, "%d %s", u.Size, u.SHA256)
	return fingerprint(h.Sum(nil)[:16])
}

// writeName writes the name so that no two differ in where their parts end.
func writeName(h hash.Hash, u container.UploadInfo) {
	fmt.Fprintf(h, "%q %q %q\n", u.Type, u.Accessor, u.Components)
}
