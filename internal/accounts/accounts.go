// Package accounts reads the account files of Unix systems: passwd, group and
// shadow. It works on any reader, so that the files of a mounted image serve as
// well as those of the running host, and imports the standard library only.
//
// The files may be hostile evidence. A line that cannot be read is given back
// with its problem instead of ending the file, lines are bounded by [MaxLine],
// and nothing is allocated from a length that the file claims.
package accounts

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"
)

// MaxLine is the longest line in bytes that is read. A longer line yields
// [ErrLineTooLong] and reading goes on behind it.
const MaxLine = 64 << 10

var (
	// ErrLineTooLong says that a line exceeds [MaxLine].
	ErrLineTooLong = errors.New("line too long")
	// ErrFields says that a line has too few fields.
	ErrFields = errors.New("too few fields")
)

// LineError tells which line of a file could not be read, counted from 1.
type LineError struct {
	Line int
	Err  error
}

// Error says the line and why.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the reason.
func (e *LineError) Unwrap() error { return e.Err }

// User is one line of passwd. IDs are unsigned 32 bit numbers, as the kernel
// keeps them.
type User struct {
	Name     string
	Password string // "x" where the hash lies in shadow; anything else is worth a look
	UID, GID uint32
	Gecos    string
	Home     string
	Shell    string
}

// Group is one line of group.
type Group struct {
	Name     string
	Password string
	GID      uint32
	Members  []string
}

// Shadow is one line of shadow. A time or a number that the file leaves empty
// is zero, or -1 for the day counts.
type Shadow struct {
	Name       string
	Hash       string    // as it stands, with a leading ! when locked
	LastChange time.Time // day of the last change, UTC
	MinDays    int64
	MaxDays    int64
	WarnDays   int64
	GraceDays  int64
	Expires    time.Time
}

// Scheme names the hash scheme of a shadow or passwd password by its prefix:
// md5, bcrypt, sha256, sha512, yescrypt, gost-yescrypt, scrypt, des, none for an
// empty password, locked for ! and *, unknown otherwise.
func Scheme(hash string) string {
	h := strings.TrimPrefix(strings.TrimPrefix(hash, "!"), "!")
	switch {
	case hash == "":
		return "none"
	case h == "" || strings.HasPrefix(h, "*"):
		return "locked"
	case strings.HasPrefix(h, "$1$"):
		return "md5"
	case strings.HasPrefix(h, "$2"):
		return "bcrypt"
	case strings.HasPrefix(h, "$5$"):
		return "sha256"
	case strings.HasPrefix(h, "$6$"):
		return "sha512"
	case strings.HasPrefix(h, "$y$"):
		return "yescrypt"
	case strings.HasPrefix(h, "$gy$"):
		return "gost-yescrypt"
	case strings.HasPrefix(h, "$7$"):
		return "scrypt"
	case len(h) == 13 && !strings.HasPrefix(h, "$"):
		return "des"
	}
	return "unknown"
}

// Locked says whether a password hash cannot be used to log in by password.
func Locked(hash string) bool {
	return strings.HasPrefix(hash, "!") || strings.HasPrefix(hash, "*")
}

// Users yields the users of a passwd file in order. A line that cannot be read
// yields a *LineError and reading goes on; an error of the reader is the last.
// Comments, empty lines and the + and - lines of NIS are passed over.
func Users(r io.Reader) iter.Seq2[User, error] {
	return parse(r, func(f []string) (User, error) {
		if len(f) < 7 {
			return User{}, ErrFields
		}
		uid, err := id(f[2])
		if err != nil {
			return User{}, fmt.Errorf("user id: %w", err)
		}
		gid, err := id(f[3])
		if err != nil {
			return User{}, fmt.Errorf("group id: %w", err)
		}
		return User{Name: f[0], Password: f[1], UID: uid, GID: gid, Gecos: f[4], Home: f[5], Shell: strings.Join(f[6:], ":")}, nil
	})
}

// Groups yields the groups of a group file, with errors as [Users] gives them.
func Groups(r io.Reader) iter.Seq2[Group, error] {
	return parse(r, func(f []string) (Group, error) {
		if len(f) < 3 {
			return Group{}, ErrFields
		}
		gid, err := id(f[2])
		if err != nil {
			return Group{}, fmt.Errorf("group id: %w", err)
		}
		g := Group{Name: f[0], Password: f[1], GID: gid}
		if len(f) > 3 && f[3] != "" {
			g.Members = strings.Split(f[3], ",")
		}
		return g, nil
	})
}

// Shadows yields the lines of a shadow file, with errors as [Users] gives them.
func Shadows(r io.Reader) iter.Seq2[Shadow, error] {
	return parse(r, func(f []string) (Shadow, error) {
		if len(f) < 2 {
			return Shadow{}, ErrFields
		}
		for len(f) < 8 {
			f = append(f, "")
		}
		s := Shadow{Name: f[0], Hash: f[1]}
		var days [6]int64
		for i := range days {
			days[i] = -1
			if f[i+2] == "" {
				continue
			}
			n, err := strconv.ParseInt(f[i+2], 10, 64)
			if err != nil {
				return Shadow{}, fmt.Errorf("field %d: %w", i+3, err)
			}
			days[i] = n
		}
		s.LastChange, s.Expires = day(days[0]), day(days[5])
		s.MinDays, s.MaxDays, s.WarnDays, s.GraceDays = days[1], days[2], days[3], days[4]
		return s, nil
	})
}

// day turns a count of days since 1970 into a time; a negative count or one
// beyond the year 9999 gives the zero time.
func day(n int64) time.Time {
	const last = 2932896 // 9999-12-31
	if n < 0 || n > last {
		return time.Time{}
	}
	return time.Unix(n*86400, 0).UTC()
}

func id(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

func parse[T any](r io.Reader, record func(fields []string) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		in := bufio.NewReaderSize(r, MaxLine)
		for n := 1; ; n++ {
			line, err := in.ReadSlice('\n')
			if errors.Is(err, bufio.ErrBufferFull) {
				if !yield(zero, &LineError{n, ErrLineTooLong}) {
					return
				}
				for errors.Is(err, bufio.ErrBufferFull) {
					_, err = in.ReadSlice('\n')
				}
				line = nil
			}
			if text := strings.TrimRight(string(line), "\r\n"); wanted(text) {
				v, bad := record(strings.Split(text, ":"))
				if bad != nil {
					bad = &LineError{n, bad}
				}
				if !yield(v, bad) {
					return
				}
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				yield(zero, &LineError{n, err})
				return
			}
		}
	}
}

// wanted says whether a line carries a record.
func wanted(line string) bool {
	return line != "" && line[0] != '#' && line[0] != '+' && line[0] != '-'
}

// Names maps ids to names. The first line of an id wins, as it does for the
// system's own lookup. Lines that cannot be read are left out.
func Names(r io.Reader) map[uint32]string {
	names := make(map[uint32]string)
	for u, err := range Users(r) {
		if err != nil {
			continue
		}
		if _, ok := names[u.UID]; !ok {
			names[u.UID] = u.Name
		}
	}
	return names
}
