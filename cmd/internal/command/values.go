package command

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// ParseSize reads a number of bytes: a plain number, or one with a decimal
// unit (kB, MB, GB, TB, PB) or a binary unit (KiB, MiB, GiB, TiB, PiB; K, M, G,
// T, P mean the same). Letter case does not matter and a fraction is allowed.
func ParseSize(s string) (int64, error) {
	text := strings.ToLower(strings.TrimSpace(s))
	digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz ")
	unit := strings.TrimSpace(text[len(digits):])
	factor, ok := sizeFactor(unit)
	if !ok || digits == "" {
		return 0, fmt.Errorf("%q is not a size: write for example 512MB, 4GiB or a number of bytes", s)
	}
	if whole, err := strconv.ParseInt(digits, 10, 64); err == nil {
		if whole < 0 || whole > math.MaxInt64/factor {
			return 0, fmt.Errorf("size %q is out of range", s)
		}
		return whole * factor, nil
	}
	value, err := strconv.ParseFloat(digits, 64)
	if err != nil || strings.Trim(digits, "0123456789.") != "" {
		return 0, fmt.Errorf("%q is not a size: write for example 512MB, 4GiB or a number of bytes", s)
	}
	bytes := value * float64(factor)
	if bytes < 0 || bytes >= math.MaxInt64 {
		return 0, fmt.Errorf("size %q is out of range", s)
	}
	return int64(bytes), nil
}

func sizeFactor(unit string) (int64, bool) {
	if unit == "" || unit == "b" {
		return 1, true
	}
	power := strings.IndexByte("kmgtp", unit[0]) + 1
	if power == 0 {
		return 0, false
	}
	base := int64(1024)
	switch unit[1:] {
	case "", "ib":
	case "b":
		base = 1000
	default:
		return 0, false
	}
	factor := int64(1)
	for range power {
		factor *= base
	}
	return factor, true
}

// FormatSize writes a number of bytes for people: 512 B, 4.0 KiB, 1.5 GiB.
func FormatSize(n int64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n), 0
	for value >= 1023.95 && unit < 6 {
		value /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", value, " KMGTPE"[unit])
}

// ParseDuration reads a duration such as 90s, 10m, 1h30m or 2d. A plain number
// counts seconds. Negative durations are refused.
func ParseDuration(s string) (time.Duration, error) {
	text := strings.TrimSpace(s)
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		if seconds < 0 || seconds > int64(math.MaxInt64/time.Second) {
			return 0, fmt.Errorf("duration %q is out of range", s)
		}
		return time.Duration(seconds) * time.Second, nil
	}
	var days time.Duration
	if head, rest, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseInt(head, 10, 32)
		if err != nil || n < 0 || n > 36500 {
			return 0, fmt.Errorf("%q is not a duration: write for example 90s, 10m, 2h or 1d", s)
		}
		if days, text = time.Duration(n)*24*time.Hour, rest; text == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration: write for example 90s, 10m, 2h or 1d", s)
	}
	if d < 0 || d+days < 0 {
		return 0, fmt.Errorf("duration %q is out of range", s)
	}
	return d + days, nil
}

// ParsePercent reads a percentage between 0 and 100, with or without the sign.
func ParsePercent(s string) (float64, error) {
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(s), "%")), 64)
	if err != nil || !(v >= 0 && v <= 100) {
		return 0, fmt.Errorf("%q is not a percentage between 0 and 100", s)
	}
	return v, nil
}

// parsed is a flag value that is checked while the command line is read.
type parsed[T any] struct {
	value T
	text  string
	parse func(string) (T, error)
}

// Set parses s.
func (p *parsed[T]) Set(s string) error {
	v, err := p.parse(s)
	if err != nil {
		return err
	}
	p.value, p.text = v, s
	return nil
}

// String returns the text that was given.
func (p *parsed[T]) String() string { return p.text }

// SizeFlag is a flag that takes a size; read it with Context.Size.
func SizeFlag(name, usage string, env ...string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, EnvVars: env, Value: &parsed[int64]{parse: ParseSize}}
}

// DurationFlag is a flag that takes a duration; read it with Context.Duration.
func DurationFlag(name, usage string, env ...string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, EnvVars: env, Value: &parsed[time.Duration]{parse: ParseDuration}}
}

// PercentFlag is a flag that takes a percentage; read it with Context.Percent.
func PercentFlag(name, usage string, env ...string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, EnvVars: env, Value: &parsed[float64]{parse: ParsePercent}}
}

// TimeFlag is a flag that takes a time as RFC 3339; read it with Context.Time.
func TimeFlag(name, usage string, env ...string) cli.Flag {
	return &cli.GenericFlag{Name: name, Usage: usage, EnvVars: env, Value: &parsed[time.Time]{parse: parseTime}}
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(s))
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a time: write for example 2026-01-31T08:00:00Z", s)
	}
	return t, nil
}

// ChoiceFlag is a flag that takes one of the words in choices; the first is
// the default. Read it with Context.Choice.
func ChoiceFlag(name, usage string, choices ...string) cli.Flag {
	check := func(s string) (string, error) {
		for _, c := range choices {
			if strings.EqualFold(s, c) {
				return c, nil
			}
		}
		return "", fmt.Errorf("%q is not one of %s", s, strings.Join(choices, ", "))
	}
	value := &choice{parsed: parsed[string]{parse: check, value: choices[0]}, words: choices}
	return &cli.GenericFlag{Name: name, Usage: usage + ": " + strings.Join(choices, ", "), DefaultText: choices[0], Value: value}
}

type choice struct {
	parsed[string]
	words []string
}

// Size returns the bytes of a SizeFlag, 0 when it was not given.
func (c *Context) Size(name string) int64 { return valueOf[int64](c, name) }

// Duration returns the value of a DurationFlag, 0 when it was not given.
func (c *Context) Duration(name string) time.Duration { return valueOf[time.Duration](c, name) }

// Percent returns the value of a PercentFlag, 0 when it was not given.
func (c *Context) Percent(name string) float64 { return valueOf[float64](c, name) }

// Time returns the value of a TimeFlag, the zero time when it was not given.
func (c *Context) Time(name string) time.Time { return valueOf[time.Time](c, name) }

// Choice returns the word of a ChoiceFlag.
func (c *Context) Choice(name string) string {
	if v, ok := c.Generic(name).(*choice); ok {
		return v.value
	}
	return ""
}

func valueOf[T any](c *Context, name string) T {
	if v, ok := c.Generic(name).(*parsed[T]); ok {
		return v.value
	}
	var zero T
	return zero
}
