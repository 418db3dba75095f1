//go:build !unix

package main

import (
	"context"
	"errors"
)

func measureCommand(context.Context, []string, string, ...string) (usage, error) {
	return usage{}, errors.New("commands are measured on Unix systems only")
}
