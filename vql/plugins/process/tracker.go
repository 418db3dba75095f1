package process

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"satchel/vql"
)

// The functions here have the names of Velociraptor's process tracker, which
// remembers processes that have ended. There is no tracker in a collection: they
// answer from the processes that run when the query first asks.

// trackedRow is one process as the tracker tells of it.
type trackedRow struct {
	Id        string
	ParentId  string
	StartTime time.Time
	EndTime   time.Time // always NULL
	Data      *processRow
}

// snapshot is the processes of one moment.
type snapshot struct {
	once  sync.Once
	err   error
	order []string
	byID  map[string]*trackedRow
}

type snapshotKey struct{}

func currentSnapshot(ctx context.Context, s *vql.Scope) (*snapshot, error) {
	all := s.Shared(snapshotKey{}, func() any { return &snapshot{} }).(*snapshot)
	all.once.Do(func() {
		all.byID = map[string]*trackedRow{}
		all.err = processes(context.WithoutCancel(ctx), s.Warn, 0, func(r *processRow) bool {
			all.add(r)
			return true
		})
	})
	return all, all.err
}

func (all *snapshot) add(r *processRow) {
	t := &trackedRow{Id: strconv.FormatInt(r.Pid, 10), ParentId: strconv.FormatInt(r.Ppid, 10), StartTime: r.CreateTime, Data: r}
	all.byID[t.Id] = t
	all.order = append(all.order, t.Id)
}

// find takes an id as the tracker writes them: a pid, or a pid and a time with
// a dash between.
func (all *snapshot) find(id string) *trackedRow {
	pid, _, _ := strings.Cut(id, "-")
	return all.byID[pid]
}

// chain lists the parents of a process and it, the eldest first.
func (all *snapshot) chain(id string, most int) []*trackedRow {
	var out []*trackedRow
	seen := map[string]bool{}
	for t := all.find(id); t != nil && len(out) < most && !seen[t.Id]; t = all.byID[t.ParentId] {
		seen[t.Id] = true
		out = append([]*trackedRow{t}, out...)
	}
	return out
}

type trackerArgs struct {
	ID       string `vql:"id,required"`
	MaxItems int64  `vql:"max_items"`
}

func (a trackerArgs) most(otherwise int) int {
	if a.MaxItems > 0 && a.MaxItems < int64(otherwise) {
		return int(a.MaxItems)
	}
	return otherwise
}

func trackerList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("process_tracker_get", func(ctx context.Context, s *vql.Scope, a trackerArgs) (any, error) {
			all, err := currentSnapshot(ctx, s)
			if t := all.find(a.ID); t != nil {
				return t, err
			}
			return nil, err
		}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Returns the running process with that pid, NULL if there is none.")),
		vql.NewFunction("process_tracker_callchain", func(ctx context.Context, s *vql.Scope, a trackerArgs) (any, error) {
			all, err := currentSnapshot(ctx, s)
			return trackedList(all.chain(a.ID, a.most(50))), err
		}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Returns the running process with that pid after its parents, the eldest first.")),
		vql.NewFunction("process_tracker_children", func(ctx context.Context, s *vql.Scope, a trackerArgs) (any, error) {
			all, err := currentSnapshot(ctx, s)
			var out []*trackedRow
			most := a.most(1000)
			if of := all.find(a.ID); of != nil {
				for _, id := range all.order {
					if t := all.byID[id]; t.ParentId == of.Id && len(out) < most {
						out = append(out, t)
					}
				}
			}
			return trackedList(out), err
		}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Returns the running processes whose parent has that pid.")),
		vql.NewPlugin("process_tracker_pslist", func(ctx context.Context, s *vql.Scope, _ struct{}, emit func(*processRow) bool) error {
			return processes(ctx, s.Warn, 0, emit)
		}, vql.Permission("MACHINE_STATE"), vql.Impure(), vql.Doc("Lists the running processes, as pslist does.")),
	}
}

func trackedList(in []*trackedRow) []any {
	out := make([]any, len(in))
	for i, t := range in {
		out[i] = t
	}
	return out
}
