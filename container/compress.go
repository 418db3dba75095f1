package container

import "satchel/internal/zipx"

// zip returns the ZIP number of the method.
func (m Method) zip() uint16 {
	switch m {
	case Store:
		return zipx.Store
	case Zstd:
		return zipx.Zstd
	}
	return zipx.Deflate
}

// compressWhole returns the data of a member in a pooled buffer, and its
// method: Store where compressing does not shrink it.
func compressWhole(c *zipx.Compressor, plain []byte, method uint16, level int) ([]byte, uint16, error) {
	dst := getBuffer(len(plain) + 64)
	switch method {
	case zipx.Store:
		return append(dst, plain...), zipx.Store, nil
	case zipx.Zstd:
		out, err := c.Frame(dst, plain, level)
		if err != nil {
			return dst, 0, err
		}
		if len(out) >= len(plain) {
			return append(out[:0], plain...), zipx.Store, nil
		}
		return out, zipx.Zstd, nil
	}
	return c.Whole(dst, plain, level)
}

// compressBlock returns a block of a streamed member in a pooled buffer.
func compressBlock(c *zipx.Compressor, plain []byte, method uint16, level int) ([]byte, error) {
	dst := getBuffer(len(plain) + 1024)
	switch method {
	case zipx.Store:
		return append(dst, plain...), nil
	case zipx.Zstd:
		return c.Frame(dst, plain, level)
	}
	return c.Block(dst, plain, level)
}

// streamEnd is what follows the blocks of a streamed member.
func streamEnd(method uint16) []byte {
	if method == zipx.Deflate {
		return zipx.DeflateEnd()
	}
	return nil
}
