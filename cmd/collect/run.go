package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"satchel/artifacts"
	"satchel/cmd/internal/command"
	"satchel/container"
	"satchel/internal/collector"
	"satchel/internal/flow"
	"satchel/vql"
	"satchel/vql/all"
)

func runCommand() *command.Command {
	return &command.Command{
		Name: "run", Usage: "collect artifacts into a container", ArgsUsage: "[ARTIFACT...]", MaxArgs: -1,
		Description: "Runs the artifacts, volatile things first, and writes rows and files into one container. What is\n" +
			"missing is told: every planned item ends with exactly one outcome. Interrupt it (Ctrl-C) and the\n" +
			"container is closed cleanly with what there is.\n" +
			"Exit code 3: an item failed, the container is complete all the same. 130: interrupted.",
		Examples: []command.Example{
			{Line: "collect run Linux.Triage -o /mnt/usb/host.zip", What: "the triage set, onto a stick"},
			{Line: "collect run Linux.Collect --args 'Globs=[\"/etc/ssh/*\"]' --max-file-size 100MB"},
			{Line: "collect run Linux.Triage --timeout 10m --cpu-limit 25 --case 2026-17 --examiner 'N. N.'"},
			{Line: "collect run --plan plan.yaml --dry-run", What: "see the plan, run nothing"},
		},
		Flags: runFlags(), Run: collect, Complete: completeArtifacts,
	}
}

// syncEvery leaves room within the promised second for rows that wait in a
// batch before they are handed on, and for the sync itself.
const syncEvery = 500 * time.Millisecond

// request is what a `collect run` was asked to do.
type request struct {
	names      []string // as they were asked for
	specs      []flow.Spec
	limits     limits
	repository *artifacts.Repository
	plan       *artifacts.Plan
	set        *vql.Set
}

func collect(ctx context.Context, c *command.Context) error {
	if err := unavailable(c, laterNames()...); err != nil {
		return err
	}
	req, err := prepare(c)
	if err != nil {
		return err
	}
	for _, note := range append(req.plan.Notes, repeated(c.StringSlice("args"))...) {
		c.Console.Warnf("%s", note)
	}
	if c.Bool("dry-run") {
		return dryRun(ctx, c, req)
	}
	return req.run(ctx, c)
}

// prepare reads the command line, the plan file and the definitions.
func prepare(c *command.Context) (*request, error) {
	req := &request{}
	var file *planFile
	var err error
	if path := c.String("plan"); path != "" {
		if file, err = readPlan(path); err != nil {
			return nil, err
		}
	}
	if req.limits, err = readLimits(c, file); err != nil {
		return nil, err
	}
	if file == nil && c.Args().Len() == 0 {
		e := command.Usagef("run: name an artifact, or give a plan with --plan")
		e.Hint = "for example: collect run " + triage(runtime.GOOS)
		return nil, e
	}
	if req.repository, err = repository(c); err != nil {
		return nil, err
	}
	names := c.Arguments()
	var specs []flow.Spec
	if file != nil {
		specs = file.specs()
		for _, s := range specs {
			names = append(names, s.Artifact)
		}
	}
	asked1, err := req.repository.Specs(names, c.StringSlice("args"))
	if err != nil {
		return nil, asked(err)
	}
	req.names, req.specs = names, merge(asked1, specs)
	if req.plan, err = artifacts.NewPlan(req.repository, req.specs, artifacts.PlanOptions{ArtifactTimeout: req.limits.perArtifact}); err != nil {
		return nil, asked(err)
	}
	req.set = all.Set()
	return req, nil
}

// repeated tells of parameters that the command line sets more than once.
func repeated(args []string) []string {
	var notes []string
	times := map[string]int{}
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if times[name]++; times[name] == 2 {
			notes = append(notes, fmt.Sprintf("--args %s is given more than once: the last one counts", name))
		}
	}
	return notes
}

// merge gives the specs of the command line the parameters that the plan file
// has and the command line does not.
func merge(specs, file []flow.Spec) []flow.Spec {
	for _, f := range file {
		for i := range specs {
			if specs[i].Artifact != f.Artifact {
				continue
			}
			for _, p := range f.Parameters {
				if !hasParameter(specs[i].Parameters, p.Key) {
					specs[i].Parameters = append(specs[i].Parameters, p)
				}
			}
		}
	}
	return specs
}

func hasParameter(params []flow.Param, key string) bool {
	for _, p := range params {
		if p.Key == key {
			return true
		}
	}
	return false
}

func triage(goos string) string {
	switch goos {
	case "windows":
		return "Windows.Triage"
	case "darwin":
		return "MacOS.Triage"
	}
	return "Linux.Triage"
}

// engine runs items with the limits of the request.
func (r *request) engine(c *command.Context) *collector.VQL {
	return &collector.VQL{
		Set: r.set,
		Options: vql.Options{
			Clock: c.Env.Now, Artifacts: r.repository, Permissions: []string{vql.AllPermissions},
			Throttle: vql.NewCPUThrottle(r.limits.cpu, runtime.NumCPU(), c.Env.Now, vql.ProcessCPUTime),
			Limits:   vql.Limits{MaxFileBytes: r.limits.maxFileSize},
		},
		Item: func(it *artifacts.Item) vql.Throttle {
			return vql.Throttles(
				vql.NewOpsThrottle(it.OpsPerSecond, c.Env.Now),
				vql.NewCPUThrottle(it.CPULimitPercent, runtime.NumCPU(), c.Env.Now, vql.ProcessCPUTime),
			)
		},
		Debug: c.Console.Verbose(),
	}
}

// run collects into a new container.
func (r *request) run(ctx context.Context, c *command.Context) error {
	begun := c.Env.Now()
	host := hostFacts(ctx, c)
	path, err := outputPath(c, host.Hostname)
	if err != nil {
		return err
	}
	header, err := r.header(c, host)
	if err != nil {
		return err
	}
	if r.limits.compression == "zstd" {
		c.Console.Warnf("Velociraptor cannot read files compressed with zstd")
	}
	w, err := container.Create(path, header, container.Options{
		Overwrite: c.Bool("overwrite"), Method: container.Method(r.limits.compression), Level: r.limits.level,
		MaxBytes: r.limits.maxSize, MinFreeBytes: uint64(r.limits.minFree), Now: c.Env.Now,
		SyncEvery: syncEvery,
	})
	if err != nil {
		return outputError(path, err)
	}
	c.Console.Notef("collecting %s into %s", strings.Join(r.artifactNames(), ", "), path)
	engine := r.engine(c)
	summary, runErr := collector.Run(ctx, r.plan, engine, w, collector.Options{
		Timeout: r.remaining(c.Env.Now().Sub(begun)), MaxFileBytes: r.limits.maxFileSize, Throttle: engine.Options.Throttle,
		Now: c.Env.Now, Own: collector.OwnFiles(w.Paths()...), Full: full, Changed: showProgress(c.Console),
	})
	c.Console.Progress("closing the container")
	closed, closeErr := w.Close(context.WithoutCancel(ctx))
	c.Console.Clear()
	if closeErr != nil {
		return errors.Join(closeErr, runErr)
	}
	if err := printSummary(c, finished{header.Flow, host, summary, closed}); err != nil {
		return err
	}
	if n := summary.Outcomes[flow.NotApplicable]; n > 0 && n == len(summary.Items) {
		c.Console.Warnf("nothing of it is for this host (%s): every item says so in its precondition", runtime.GOOS)
	}
	return exit(ctx, summary, runErr)
}

// remaining is what is left of the promised time, 0 when none was promised.
func (r *request) remaining(used time.Duration) time.Duration {
	if r.limits.timeout == 0 {
		return 0
	}
	return max(r.limits.timeout-used, time.Millisecond)
}

// full says that the container takes no more for a limit, and can be closed.
func full(err error) bool {
	return errors.Is(err, container.ErrNoSpace) || errors.Is(err, container.ErrMaxSize)
}

// exit is the exit code of a collection whose container was closed.
func exit(ctx context.Context, s collector.Summary, runErr error) error {
	switch {
	case runErr != nil && full(runErr):
		return command.Exit(command.SomeFailed, runErr)
	case runErr != nil:
		return runErr
	case errors.Is(context.Cause(ctx), command.ErrInterrupted):
		return command.Hintf(command.Exit(command.Interrupted, errors.New("interrupted: the container is closed and holds what was collected until then")),
			"the report in it says what is missing")
	case s.Failed() > 0:
		return command.Exit(command.SomeFailed, nil)
	}
	return nil
}

// outputPath is where the container goes.
func outputPath(c *command.Context, hostname string) (string, error) {
	name := "Collection-" + fileName(hostname) + "-" + c.Env.Now().UTC().Format("2006-01-02T15_04_05Z") + ".zip"
	path := c.String("output")
	switch info, err := os.Stat(path); {
	case path == "-":
		return "", command.Usagef("a container cannot be written to standard output: name a file with -o")
	case path == "":
		path = name
	case err == nil && info.IsDir():
		path = filepath.Join(path, name)
	}
	if _, err := os.Lstat(path); err == nil && !c.Bool("overwrite") {
		return "", outputError(path, fs.ErrExist)
	}
	return path, nil
}

func outputError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrExist):
		if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
			return command.Hintf(fmt.Errorf("%s%s is what is left of an earlier collection, and was not touched", path, container.SpoolSuffix),
				"choose another name with -o; `ingest inspect` tells what is in it")
		}
		return command.Hintf(fmt.Errorf("%s is there already and was not touched", path), "choose another name with -o, or --overwrite")
	case errors.Is(err, fs.ErrNotExist):
		return command.Hintf(err, "make the directory %s first, or choose another place with -o", filepath.Dir(path))
	case errors.Is(err, fs.ErrPermission):
		return command.Hintf(err, "choose a place that you may write to with -o")
	}
	return err
}

// header is what is known before the first item runs.
func (r *request) header(c *command.Context, host flow.Host) (container.Header, error) {
	now := c.Env.Now()
	id, err := flow.NewID(now, rand.Reader)
	if err != nil {
		return container.Header{}, err
	}
	definitions, err := r.plan.Definitions()
	if err != nil {
		return container.Header{}, err
	}
	plan, err := json.Marshal(r.plan)
	if err != nil {
		return container.Header{}, fmt.Errorf("encode the plan: %w", err)
	}
	h := container.Header{
		Flow: flow.Flow{
			ID: id, ClientID: host.HostID, Created: now, Case: r.limits.caseID, Examiner: r.limits.examiner, Notes: r.limits.notes,
			Request: flow.Request{
				Artifacts: r.artifactNames(), Specs: r.specs, Creator: r.limits.examiner, Timeout: r.limits.timeout,
				ArtifactTimeout: r.limits.perArtifact, CPULimitPercent: r.limits.cpu, MaxFileBytes: r.limits.maxFileSize, MinFreeBytes: r.limits.minFree,
			},
		},
		Host: host, Tool: toolFacts(), Clock: clockFacts(now), Sources: r.plan.Names(), Definitions: definitions,
		Plan: plan, PlanSHA256: r.plan.Hash(),
	}
	for _, it := range r.plan.Items {
		h.Queries = append(h.Queries, container.Query{
			Name: it.Name, VQL: it.Text(), Precondition: strings.Join(it.Preconditions, "\n"), Env: it.Env,
		})
	}
	return h, nil
}

// artifactNames are the names that were asked for, each once.
func (r *request) artifactNames() []string {
	var names []string
	seen := map[string]bool{}
	for _, n := range r.names {
		if !seen[n] {
			seen[n] = true
			names = append(names, n)
		}
	}
	return names
}
