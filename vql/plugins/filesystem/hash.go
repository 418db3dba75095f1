package filesystem

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"satchel/vql"
)

// ErrHash says that a hash is not known.
var ErrHash = errors.New("unknown hash: MD5, SHA1 and SHA256 are known")

type hashArgs struct {
	Path       vql.Path `vql:"path,required"`
	Accessor   string   `vql:"accessor"`
	HashSelect []string `vql:"hashselect"`
	MaxSize    uint64   `vql:"max_size"`
}

func hashFunction() vql.Function {
	return vql.NewFunction("hash", func(ctx context.Context, s *vql.Scope, a hashArgs) (any, error) {
		names, err := hashNames(a.HashSelect)
		if err != nil {
			return nil, err
		}
		d, err := hashFile(ctx, s, a, names)
		if err != nil {
			s.Warn(fmt.Errorf("%s: %w", a.Path, err))
			return nil, nil
		}
		return d, nil
	}, vql.Permission("FILESYSTEM_READ"), vql.Impure(), vql.Doc("Hashes a file: MD5, SHA1 and SHA256 in hex, or those that hashselect names. NULL if it cannot be read or is larger than max_size."))
}

func hashNames(chosen []string) ([]string, error) {
	if len(chosen) == 0 {
		return []string{"MD5", "SHA1", "SHA256"}, nil
	}
	var out []string
	for _, c := range chosen {
		name := strings.ToUpper(c)
		if name != "MD5" && name != "SHA1" && name != "SHA256" {
			return nil, fmt.Errorf("%q: %w", c, ErrHash)
		}
		out = append(out, name)
	}
	return out, nil
}

func hashFile(ctx context.Context, s *vql.Scope, a hashArgs, names []string) (*vql.Dict, error) {
	f, err := openFile(ctx, s, a.Accessor, a.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if a.MaxSize > 0 {
		if info, err := f.Stat(); err == nil && info.Size > 0 && uint64(info.Size) > a.MaxSize {
			return nil, fmt.Errorf("%d bytes are more than max_size", info.Size)
		}
	}
	sums := make([]hash.Hash, len(names))
	into := make([]io.Writer, len(names))
	for i, name := range names {
		switch name {
		case "MD5":
			sums[i] = md5.New()
		case "SHA1":
			sums[i] = sha1.New()
		default:
			sums[i] = sha256.New()
		}
		into[i] = sums[i]
	}
	var in io.Reader = f
	if a.MaxSize > 0 && a.MaxSize < 1<<62 {
		in = io.LimitReader(f, int64(a.MaxSize)+1)
	}
	n, err := io.CopyBuffer(io.MultiWriter(into...), in, make([]byte, 64<<10))
	if err != nil {
		return nil, err
	}
	if a.MaxSize > 0 && uint64(n) > a.MaxSize {
		return nil, fmt.Errorf("more bytes than max_size")
	}
	d := vql.NewDict()
	for i, name := range names {
		d.Set(name, hex.EncodeToString(sums[i].Sum(nil)))
	}
	return d, nil
}
