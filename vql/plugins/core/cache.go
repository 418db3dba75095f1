package core

import (
	"context"
	"errors"
	"sync"
	"time"

	"satchel/vql"
)

func cacheList() []vql.Registration {
	return []vql.Registration{
		vql.NewFunction("memoize", memoize, vql.Doc("Runs a query once and looks its rows up by a key.")),
		vql.NewFunction("cache", cache, vql.Doc("Evaluates an expression once for each key and time.")),
	}
}

// Keys under which the run keeps what these functions remember.
type (
	memoKey  string
	cacheKey string
)

type memoizeArgs struct {
	Query  vql.Query `vql:"query,required"`
	Key    string    `vql:"key,required"`
	Period int64     `vql:"period"` // seconds after which it runs again
	Name   string    `vql:"name"`
	// Filename asks for a cache on disk, which there is none of.
	Filename string `vql:"filename"`
}

type memo struct {
	mu   sync.Mutex
	dict *vql.Dict
	made time.Time
}

// maxMemo bounds the rows that memoize keeps.
const maxMemo = 5_000_000

var errMemo = errors.New("the query gives more rows than memoize keeps")

func memoize(ctx context.Context, s *vql.Scope, a memoizeArgs) (any, error) {
	name := a.Name
	if name == "" {
		name = "at " + s.Site()
	}
	m, _ := s.Shared(memoKey(name), func() any { return &memo{} }).(*memo)
	m.mu.Lock()
	defer m.mu.Unlock()
	period := time.Duration(a.Period) * time.Second
	if m.dict != nil && (period <= 0 || s.Now().Sub(m.made) < period) {
		return m.dict, nil
	}
	dict := vql.NewDict()
	for row := range a.Query.Rows(ctx, s) {
		if dict.Len() >= maxMemo {
			return nil, errMemo
		}
		key, _ := row.Get(a.Key)
		dict.Update(s.Text(key), row)
	}
	if ctx.Err() == nil {
		m.dict, m.made = dict, s.Now()
	}
	return dict, nil
}

type cacheArgs struct {
	Func     vql.Lazy   `vql:"func"`
	Lambda   vql.Lambda `vql:"lambda"`
	Name     string     `vql:"name"`
	Key      any        `vql:"key"`
	Period   int64      `vql:"period"` // seconds, 60 if not given
	Filename string     `vql:"filename"`
	MaxSize  int64      `vql:"max_size"`
}

type cached struct {
	value any
	made  time.Time
}

func cache(ctx context.Context, s *vql.Scope, a cacheArgs) (any, error) {
	if !a.Func.IsSet() && !a.Lambda.IsSet() {
		return nil, errors.New("needs func or lambda")
	}
	name := a.Name
	if name == "" {
		name = "at " + s.Site()
	}
	size := 1000
	if a.MaxSize > 0 {
		size = int(min(a.MaxSize, 1_000_000))
	}
	entries, _ := s.Shared(cacheKey(name), func() any { return newLRU[cached](size) }).(*lru[cached])
	period := 60 * time.Second
	if a.Period > 0 {
		period = time.Duration(a.Period) * time.Second
	}
	key := s.Text(a.Key)
	if hit, found := entries.get(key); found && s.Now().Sub(hit.made) < period {
		return hit.value, nil
	}
	var v any
	if a.Lambda.IsSet() {
		v = a.Lambda.Call(ctx, s, a.Key)
	} else {
		v = a.Func.Reduce(ctx)
	}
	entries.put(key, cached{v, s.Now()})
	return v, nil
}
