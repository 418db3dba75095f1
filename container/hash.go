package container

import (
	"bytes"
	"crypto/sha256"
	"io"
)

// hashReader hashes a reader to its end.
func hashReader(r io.Reader, sum *[32]byte) error {
	h := sha256.New()
	buf := getBuffer(64 << 10)
	defer putBuffer(buf)
	if _, err := io.CopyBuffer(h, struct{ io.Reader }{r}, buf[:cap(buf)]); err != nil {
		return err
	}
	h.Sum(sum[:0])
	return nil
}

// hashSpan hashes n bytes of r from offset off.
func hashSpan(r io.ReaderAt, off, n int64, sum *[32]byte) error {
	return hashReader(io.NewSectionReader(r, off, n), sum)
}

// lineCounter counts newlines.
type lineCounter int64

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte{'\n'}))
	return len(p), nil
}
