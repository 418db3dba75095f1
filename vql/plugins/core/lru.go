package core

import (
	"container/list"
	"errors"
	"sync"
)

var errTooMany = errors.New("one row would become too many rows")

// lru keeps the newest entries, up to a number.
type lru[V any] struct {
	mu    sync.Mutex
	size  int
	order *list.List // of *lruEntry[V], newest in front
	index map[string]*list.Element
}

type lruEntry[V any] struct {
	key   string
	value V
}

func newLRU[V any](size int) *lru[V] {
	return &lru[V]{size: max(1, size), order: list.New(), index: make(map[string]*list.Element)}
}

func (l *lru[V]) get(key string) (v V, found bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, found := l.index[key]
	if !found {
		return v, false
	}
	l.order.MoveToFront(e)
	entry, _ := e.Value.(*lruEntry[V])
	return entry.value, true
}

func (l *lru[V]) put(key string, v V) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e, found := l.index[key]; found {
		l.order.MoveToFront(e)
		e.Value = &lruEntry[V]{key, v}
		return
	}
	l.index[key] = l.order.PushFront(&lruEntry[V]{key, v})
	if l.order.Len() > l.size {
		oldest := l.order.Back()
		l.order.Remove(oldest)
		entry, _ := oldest.Value.(*lruEntry[V])
		delete(l.index, entry.key)
	}
}
