package command

import (
	"math"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want int64 // -1: an error
	}{
		{"0", 0}, {"512", 512}, {"512B", 512}, {"4GiB", 4 << 30}, {"4gib", 4 << 30}, {"4G", 4 << 30}, {"512MB", 512e6},
		{"1.5 KiB", 1536}, {"64k", 65536}, {" 7 TB ", 7e12}, {"2PiB", 2 << 50}, {"9223372036854775807", math.MaxInt64},
		{"", -1}, {"GiB", -1}, {"-1", -1}, {"-1GiB", -1}, {"4XB", -1}, {"4GiBs", -1}, {"1e3", -1}, {"9223372036854775808", -1},
		{"9000PiB", -1}, {"8192.1PiB", -1}, {"nan", -1}, {"inf", -1}, {"1..5K", -1}, {"0x10", -1},
	}
	for _, tt := range tests {
		got, err := ParseSize(tt.text)
		if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
			t.Errorf("ParseSize(%q) = %d, %v; want %d", tt.text, got, err, tt.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want time.Duration
	}{
		{"0", 0}, {"90", 90 * time.Second}, {"90s", 90 * time.Second}, {"1h30m", 90 * time.Minute}, {"2d", 48 * time.Hour},
		{"1d12h", 36 * time.Hour}, {"250ms", 250 * time.Millisecond},
		{"", -1}, {"-5s", -1}, {"-5", -1}, {"soon", -1}, {"99999999999", -1}, {"1dd", -1}, {"-1d", -1}, {"99999d", -1},
	}
	for _, tt := range tests {
		got, err := ParseDuration(tt.text)
		if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
			t.Errorf("ParseDuration(%q) = %v, %v; want %v", tt.text, got, err, tt.want)
		}
	}
}

func TestParsePercent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]float64{"10%": 10, "10": 10, " 2.5 % ": 2.5, "0": 0, "100%": 100, "101": -1, "-1": -1, "": -1, "nan": -1, "x%": -1} {
		got, err := ParsePercent(text)
		if (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("ParsePercent(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestFormatSize(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1 << 20: "1.0 MiB", 1<<20 - 1: "1.0 MiB", math.MaxInt64: "8.0 EiB"} {
		if got := FormatSize(n); got != want {
			t.Errorf("FormatSize(%d) = %q, want %q", n, got, want)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	words := []string{"Linux.Triage", "Linux.Sys.Pslist", "list", "show"}
	for name, want := range map[string]string{"linux.triage": "Linux.Triage", "Linux.Traige": "Linux.Triage", "lsit": "list", "shwo": "show", "verify": "", "": ""} {
		if got := Nearest(name, words); got != want {
			t.Errorf("Nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
