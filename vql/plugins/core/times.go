package core

import (
	"context"
	"fmt"
	"strings"
	"time"

	"satchel/vql"
)

func timeList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("now", now, vql.Impure(), vql.Doc("Returns the seconds since 1970, by ns=TRUE the nanoseconds.")),
		vql.NewFunction("timestamp", timestamp, vql.Doc("Makes a time of one of its arguments.")),
		vql.NewFunction("timestamp_format", timestampFormat, vql.Doc("Writes a time, by a layout of Go or of strftime.")),
		vql.NewFunction("sleep", sleep, vql.Impure(), vql.Doc("Waits so many seconds or milliseconds.")),
	}
}

type nowArgs struct {
	NS bool `vql:"ns"`
}

func now(_ context.Context, s *vql.Scope, a nowArgs) (any, error) {
	if a.NS {
		return s.Now().UnixNano(), nil
	}
	return s.Now().Unix(), nil
}

type timestampArgs struct {
	Epoch       any    `vql:"epoch"`
	CocoaTime   any    `vql:"cocoatime"`
	MacTime     any    `vql:"mactime"`
	WinFileTime any    `vql:"winfiletime"`
	String      string `vql:"string"`
	Format      string `vql:"format"`
}

// Seconds from the beginnings of other clocks to that of Unix.
const (
	windowsEpoch = 11644473600 // 1601-01-01
	macEpoch     = 2082844800  // 1904-01-01
	cocoaEpoch   = -978307200  // 2001-01-01
)

func timestamp(_ context.Context, s *vql.Scope, a timestampArgs) (any, error) {
	switch {
	case a.WinFileTime != nil:
		ticks, _ := wholeNumber(s, a.WinFileTime).(int64)
		if ticks <= 0 {
			return nil, nil
		}
		return time.Unix(ticks/10_000_000-windowsEpoch, ticks%10_000_000*100).UTC(), nil
	case a.CocoaTime != nil:
		return since(cocoaEpoch, a.CocoaTime)
	case a.MacTime != nil:
		return since(macEpoch, a.MacTime)
	case a.String != "":
		if a.Format != "" {
			t, err := time.Parse(layout(a.Format), a.String)
			if err != nil {
				return nil, fmt.Errorf("%q is not a time of the format %q", a.String, a.Format)
			}
			return t.UTC(), nil
		}
		return orError(vql.ToTime(a.String))
	case a.Epoch == nil || a.Epoch == "":
		return nil, nil
	}
	return orError(vql.ToTime(a.Epoch))
}

func orError(t time.Time, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return t, nil
}

// since counts seconds from another beginning. Zero is no time.
func since(epoch int64, v any) (any, error) {
	switch t := v.(type) {
	case int64:
		if t == 0 {
			return nil, nil
		}
		return time.Unix(t-epoch, 0).UTC(), nil
	case float64:
		if t == 0 || t > 1e12 || t < -1e12 || t != t {
			return nil, nil
		}
		whole := int64(t)
		return time.Unix(whole-epoch, int64((t-float64(whole))*1e9)).UTC(), nil
	}
	return nil, fmt.Errorf("must be a number, not %s", vql.TypeName(v))
}

// layout returns a layout of Go for one of Go or of strftime.
func layout(format string) string {
	if !strings.Contains(format, "%") {
		return format
	}
	var b strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			b.WriteByte(format[i])
			continue
		}
		i++
		b.WriteString(strftime(format[i]))
	}
	return b.String()
}

func strftime(c byte) string {
	switch c {
	case 'Y':
		return "2006"
	case 'y':
		return "06"
	case 'm':
		return "01"
	case 'd':
		return "02"
	case 'e':
		return "_2"
	case 'H':
		return "15"
	case 'I':
		return "03"
	case 'M':
		return "04"
	case 'S':
		return "05"
	case 'f':
		return "000000"
	case 'L':
		return "000"
	case 'j':
		return "002"
	case 'p':
		return "PM"
	case 'b', 'h':
		return "Jan"
	case 'B':
		return "January"
	case 'a':
		return "Mon"
	case 'A':
		return "Monday"
	case 'z':
		return "-0700"
	case 'Z':
		return "MST"
	case 'F':
		return "2006-01-02"
	case 'T':
		return "15:04:05"
	case 'D':
		return "01/02/06"
	case 'R':
		return "15:04"
	case 'n':
		return "\n"
	case 't':
		return "\t"
	case '%':
		return "%"
	}
	return "%" + string(c)
}

type timestampFormatArgs struct {
	Time   any    `vql:"time,required"`
	Format string `vql:"format"`
}

func timestampFormat(_ context.Context, _ *vql.Scope, a timestampFormatArgs) (any, error) {
	if a.Time == nil {
		return nil, nil
	}
	t, err := vql.ToTime(a.Time)
	if err != nil {
		return nil, err
	}
	if a.Format == "" {
		a.Format = time.RFC3339
	}
	return t.Format(layout(a.Format)), nil
}

type sleepArgs struct {
	Time int64 `vql:"time"`
	MS   int64 `vql:"ms"`
}

func sleep(ctx context.Context, s *vql.Scope, a sleepArgs) (any, error) {
	return s.Pause(ctx, time.Duration(a.Time)*time.Second+time.Duration(a.MS)*time.Millisecond), nil
}
