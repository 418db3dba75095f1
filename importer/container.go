package importer

import (
	"context"
	"errors"
	"io"

	"satchel/container"
	"satchel/internal/zipx"
)

// Containers returns the format that package container reads: its own and
// Velociraptor's plain collections.
func Containers(o container.ReadOptions) Format { return containers{o} }

type containers struct{ o container.ReadOptions }

// Open implements Format.
func (f containers) Open(zip, spool *io.SectionReader) (Evidence, error) {
	var z, s io.ReaderAt
	var zn, sn int64
	if zip != nil {
		z, zn = zip, zip.Size()
	}
	if spool != nil {
		s, sn = spool, spool.Size()
	}
	r, err := container.Open(z, zn, s, sn, f.o)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Copy implements Format. Our own containers are checked by the hashes of their
// raw records while they are copied; foreign ones have none, so their members
// are inflated and held against their CRCs after it.
func (f containers) Copy(ctx context.Context, dst io.Writer, zip, _ *io.SectionReader) (sum string, problems []container.Problem, err error) {
	sum, problems, err = container.Copy(ctx, dst, zip, zip.Size(), f.o)
	if err != nil || len(problems) > 0 {
		return sum, problems, err
	}
	problems, err = checkForeign(ctx, zip)
	return sum, problems, err
}

// checkForeign reads every member of an archive that has no manifest.
func checkForeign(ctx context.Context, zip *io.SectionReader) ([]container.Problem, error) {
	a, err := zipx.Open(zip, zip.Size(), zipx.Limits{})
	if err != nil {
		return nil, nil // cut: opening it tells what is missing
	}
	for _, ours := range []string{"satchel.json", "manifest.json"} {
		if _, err := a.Lookup(ours); err == nil || !errors.Is(err, zipx.ErrNotFound) {
			return nil, nil
		}
	}
	var problems []container.Problem
	for m, err := range a.Members() {
		if err != nil {
			return append(problems, container.Problem{Problem: "the list of members cannot be read to its end: " + err.Error(), Offset: a.DirOffset()}), nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if m.Dir {
			continue
		}
		if err := readMember(ctx, a, &m); err != nil {
			var bad *refusal
			if ctx.Err() != nil || errors.As(err, &bad) {
				return nil, err
			}
			if len(problems) < maxProblems {
				problems = append(problems, container.Problem{Member: m.Name, Problem: err.Error(), Offset: int64(m.Offset)})
			}
		}
	}
	return problems, nil
}

func readMember(ctx context.Context, a *zipx.Archive, m *zipx.Member) error {
	rc, err := a.Open(m)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, contextReader{ctx, rc})
	return errors.Join(err, rc.Close())
}
