// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

const (
	// profileSeconds is the length of the CPU profile, which covers the start of a case, where most of the work is.
	profileSeconds = "30"
	profileLines   = 15
)

// startProfile starts a CPU profile of the operator, if -profile is set. finish waits for it,
// takes an allocs profile, and prints the top of both.
func (b *bench) startProfile(ctx context.Context, name string) (finish func() error) {
	if b.profile == "" {
		return func() error { return nil }
	}
	address := b.operator.Pprof + "/debug/pprof/"
	cpu := filepath.Join(b.profile, name+".cpu.pprof")
	allocs := filepath.Join(b.profile, name+".allocs.pprof")
	fetched := make(chan error, 1)
	go func() { fetched <- saveProfile(ctx, address+"profile?seconds="+profileSeconds, cpu) }()
	return func() error {
		if err := errors.Join(<-fetched, saveProfile(ctx, address+"allocs", allocs)); err != nil {
			return err
		}
		return errors.Join(printTop(ctx, cpu), printTop(ctx, allocs))
	}
}

func saveProfile(ctx context.Context, url, path string) error {
	var profile bytes.Buffer
	err := testenv.Fetch(ctx, url, &profile)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o750)
	}
	if err == nil {
		err = os.WriteFile(path, profile.Bytes(), 0o600)
	}
	if err != nil {
		return fmt.Errorf("saving a profile: %w", err)
	}
	return nil
}

func printTop(ctx context.Context, path string) error {
	top, err := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", path).Output() //nolint:gosec // our own file
	if err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	lines := slices.Collect(bytes.Lines(top))
	say("%s\n%s", path, bytes.Join(lines[:min(profileLines, len(lines))], nil))
	return nil
}
