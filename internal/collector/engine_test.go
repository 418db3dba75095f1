package collector

import (
	"testing"

	"satchel/internal/flow"
)

func TestConditionsOfTheHostAlone(t *testing.T) {
	t.Parallel()
	env := []flow.Param{{Key: "Root"}, {Key: "OSFilter"}}
	for text, uses := range map[string]bool{
		"SELECT OS FROM info() WHERE OS = 'linux'":                           false,
		"select * from info()":                                               false,
		"\n  SELECT OS\nFROM info() WHERE OS =~ \"linux\" AND NOT IsAdmin\n": false,
		"SELECT OS FROM info() WHERE OS = OSFilter":                          true,
		"SELECT OS FROM info() WHERE Mine(x=1)":                              true,
		"SELECT OSPath FROM glob(globs='/x')":                                true,
		"SELECT OS FROM info() WHERE IsOld":                                  true,
		"LET X <= 1 SELECT OS FROM info()":                                   true,
	} {
		if got := usesParameters(text, env, []string{"LET Helper(x) = x", "LET `IsOld` <= 1"}); got != uses {
			t.Errorf("%q: %v", text, got)
		}
	}
}
