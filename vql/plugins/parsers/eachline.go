package parsers

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// eachLine gives the lines of a stream, counted from 1, without their ends. A
// line is good until take returns. One that is longer than most bytes is warned
// of and passed over.
func eachLine(r io.Reader, most int, warn func(error), take func(n int64, line []byte) error) error {
	in := bufio.NewReaderSize(r, min(most+2, 64<<10))
	var long []byte
	for n := int64(1); ; n++ {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = long[:0]
			over := false
			for errors.Is(err, bufio.ErrBufferFull) {
				if over = over || len(long)+len(line) > most; !over {
					long = append(long, line...)
				}
				line, err = in.ReadSlice('\n')
			}
			if over = over || len(long)+len(line) > most+2; over {
				warn(fmt.Errorf("line %d is longer than %d bytes: %w", n, most, ErrLimit))
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				continue
			}
			long = append(long, line...)
			line = long
		}
		if err != nil && err != io.EOF {
			return err
		}
		if len(line) > 0 {
			if bad := take(n, cutEnd(line)); bad != nil {
				return bad
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}
