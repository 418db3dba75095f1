package zipx

import (
	"encoding/binary"
	"strings"
)

// zstdMagic begins a frame.
const zstdMagic = "\x28\xb5\x2f\xfd"

// zstdEnd follows the Zstandard frames from off without decoding them. It
// returns where they end: where something else follows, or the file does. Whole
// is false when the file ends inside a frame; then, and when a frame is
// malformed, end is how far it came.
func zstdEnd(w *window, off int64) (end int64, whole bool, err error) {
	for {
		b, err := w.view(off, 18)
		if err != nil {
			return off, false, err
		}
		if len(b) < 4 {
			if len(b) > 0 && strings.HasPrefix(zstdMagic, string(b)) {
				return w.size, false, nil
			}
			return off, true, nil
		}
		if binary.LittleEndian.Uint32(b)&^15 == 0x184d2a50 && len(b) >= 8 { // skippable
			next := off + 8 + int64(binary.LittleEndian.Uint32(b[4:]))
			if next > w.size {
				return w.size, false, nil
			}
			off = next
			continue
		}
		if string(b[:4]) != zstdMagic {
			return off, true, nil
		}
		next, ok, err := zstdFrame(w, off, b)
		if err != nil || !ok {
			return next, false, err
		}
		off = next
	}
}

// zstdFrame follows one frame whose first bytes are b.
func zstdFrame(w *window, off int64, b []byte) (end int64, whole bool, err error) {
	if len(b) < 5 {
		return w.size, false, nil
	}
	descriptor := b[4]
	header := int64(5)
	single := descriptor&0x20 != 0
	if !single {
		header++ // window
	}
	header += [...]int64{0, 1, 2, 4}[descriptor&3] // dictionary
	switch descriptor >> 6 {                       // content size
	case 0:
		if single {
			header++
		}
	case 1:
		header += 2
	case 2:
		header += 4
	case 3:
		header += 8
	}
	off += header
	for last := false; !last; {
		b, err := w.view(off, 3)
		if err != nil {
			return off, false, err
		}
		if len(b) < 3 {
			return w.size, false, nil
		}
		block := uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16
		size := int64(block >> 3)
		switch block >> 1 & 3 {
		case 1: // one byte, repeated
			size = 1
		case 3:
			return off, false, nil
		}
		last = block&1 != 0
		off += 3 + size
	}
	if descriptor&4 != 0 {
		off += 4 // checksum
	}
	if off > w.size {
		return w.size, false, nil
	}
	return off, true, nil
}
