package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"satchel/cmd/internal/command"
	"satchel/internal/flow"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a plan file.
const (
	maxPlanBytes = 128 << 10
	maxPlanDepth = 16 // brackets in one another, and spaces of indentation divided by 4
)

// planFile is a request in a file. JSON is read too, being YAML. Sizes and
// durations are written as on the command line.
type planFile struct {
	Artifacts   []plannedArtifact `yaml:"artifacts"`
	Compression string            `yaml:"compression"`
	Level       int               `yaml:"level"`
	Timeout     string            `yaml:"timeout"`
	PerArtifact string            `yaml:"artifact_timeout"`
	CPULimit    string            `yaml:"cpu_limit"`
	MinFree     string            `yaml:"min_free"`
	MaxSize     string            `yaml:"max_size"`
	MaxFileSize string            `yaml:"max_file_size"`
	Case        string            `yaml:"case"`
	Examiner    string            `yaml:"examiner"`
	Notes       string            `yaml:"notes"`
}

// plannedArtifact is a name, or a name with parameters.
type plannedArtifact struct {
	Name       string            `yaml:"name"`
	Parameters map[string]string `yaml:"parameters"`
}

// UnmarshalYAML reads both forms.
func (p *plannedArtifact) UnmarshalYAML(data []byte) error {
	if yaml.Unmarshal(data, &p.Name) == nil {
		return nil
	}
	type plain plannedArtifact
	return yaml.UnmarshalWithOptions(data, (*plain)(p), yaml.Strict())
}

// readPlan reads a plan file. Unknown keys are errors: a plan that asks for
// something this version does not know is not run without it.
func readPlan(path string) (*planFile, error) {
	data, err := readBounded(path, maxPlanBytes)
	if err != nil {
		return nil, fmt.Errorf("read the plan: %w", err)
	}
	return parsePlan(data, path)
}

// parsePlan reads a plan. Anchors and aliases are refused: the YAML library
// follows one that contains itself until the stack is full.
func parsePlan(data []byte, path string) (*planFile, error) {
	p := &planFile{}
	if err := decodePlan(data, p); err != nil && !errors.Is(err, io.EOF) {
		e := command.Usagef("plan %s: %s", path, yaml.FormatError(err, false, true))
		e.Hint = "a plan has the keys artifacts, compression, level, timeout, artifact_timeout, cpu_limit, min_free, max_size, max_file_size, case, examiner, notes"
		return nil, e
	}
	if len(p.Artifacts) == 0 {
		return nil, command.Usagef("plan %s names no artifacts", path)
	}
	for i, a := range p.Artifacts {
		if a.Name == "" {
			return nil, command.Usagef("plan %s: artifact number %d has no name", path, i+1)
		}
	}
	return p, nil
}

// decodePlan checks and decodes a plan. A panic of the library is an error.
func decodePlan(data []byte, p *planFile) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("it is not YAML that can be read")
		}
	}()
	if err := checkPlan(data); err != nil {
		return err
	}
	return yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(p)
}

func checkPlan(data []byte) error {
	indent, depth, entries, line := 0, 0, 0, 0
	for l := range bytes.Lines(data) {
		indent = max(indent, len(l)-len(bytes.TrimLeft(l, " ")))
	}
	if indent > 4*maxPlanDepth {
		return errors.New("it is indented too deep")
	}
	for _, t := range lexer.Tokenize(string(data)) {
		if t.Position.Line != line {
			entries, line = 0, t.Position.Line
		}
		switch t.Type {
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType:
			return fmt.Errorf("line %d: anchors, aliases, merges and tags are not taken here", line)
		case token.SequenceEntryType, token.MappingKeyType:
			if entries++; entries > maxPlanDepth {
				return fmt.Errorf("line %d: lists nest too deep", line)
			}
		case token.SequenceStartType, token.MappingStartType:
			if depth++; depth > maxPlanDepth {
				return fmt.Errorf("line %d: brackets nest too deep", line)
			}
		case token.SequenceEndType, token.MappingEndType:
			depth--
		}
	}
	return nil
}

// specs are the artifacts of the plan with their parameters in the order of
// their names.
func (p *planFile) specs() []flow.Spec {
	specs := make([]flow.Spec, 0, len(p.Artifacts))
	for _, a := range p.Artifacts {
		s := flow.Spec{Artifact: a.Name}
		for _, key := range slices.Sorted(maps.Keys(a.Parameters)) {
			s.Parameters = append(s.Parameters, flow.Param{Key: key, Value: a.Parameters[key]})
		}
		specs = append(specs, s)
	}
	return specs
}

// limits are the numbers of a collection: flags beat the plan.
type limits struct {
	timeout, perArtifact          time.Duration
	cpu                           float64
	minFree, maxSize, maxFileSize int64
	level                         int
	compression                   string
	caseID, examiner, notes       string
}

func readLimits(c *command.Context, p *planFile) (limits, error) {
	l := limits{
		timeout: c.Duration("timeout"), perArtifact: c.Duration("artifact-timeout"), cpu: c.Percent("cpu-limit"),
		minFree: c.Size("min-free"), maxSize: c.Size("max-size"), maxFileSize: c.Size("max-file-size"),
		level: c.Int("level"), compression: c.Choice("compression"),
		caseID: c.String("case"), examiner: c.String("examiner"), notes: c.String("notes"),
	}
	if p != nil {
		if err := l.under(c, p); err != nil {
			return l, err
		}
	}
	if l.level < 1 || l.level > 9 {
		return l, command.Usagef("--level %d is not between 1 and 9", l.level)
	}
	return l, nil
}

// under fills from the plan what no flag gave.
func (l *limits) under(c *command.Context, p *planFile) error {
	take := func(flag, key, text string, read func(string) error) error {
		if text == "" || c.IsSet(flag) {
			return nil
		}
		if err := read(text); err != nil {
			return command.Usagef("plan: %s: %w", key, err)
		}
		return nil
	}
	size := func(to *int64) func(string) error {
		return func(s string) (err error) { *to, err = command.ParseSize(s); return err }
	}
	duration := func(to *time.Duration) func(string) error {
		return func(s string) (err error) { *to, err = command.ParseDuration(s); return err }
	}
	word := func(to *string) func(string) error { return func(s string) error { *to = s; return nil } }
	if p.Level != 0 && !c.IsSet("level") {
		l.level = p.Level
	}
	return errors.Join(
		take("timeout", "timeout", p.Timeout, duration(&l.timeout)),
		take("artifact-timeout", "artifact_timeout", p.PerArtifact, duration(&l.perArtifact)),
		take("cpu-limit", "cpu_limit", p.CPULimit, func(s string) (err error) { l.cpu, err = command.ParsePercent(s); return err }),
		take("min-free", "min_free", p.MinFree, size(&l.minFree)),
		take("max-size", "max_size", p.MaxSize, size(&l.maxSize)),
		take("max-file-size", "max_file_size", p.MaxFileSize, size(&l.maxFileSize)),
		take("compression", "compression", p.Compression, func(s string) error {
			switch s {
			case "deflate", "zstd", "store":
				l.compression = s
				return nil
			}
			return fmt.Errorf("%q is not one of deflate, zstd, store", s)
		}),
		take("case", "case", p.Case, word(&l.caseID)),
		take("examiner", "examiner", p.Examiner, word(&l.examiner)),
		take("notes", "notes", p.Notes, word(&l.notes)),
	)
}
