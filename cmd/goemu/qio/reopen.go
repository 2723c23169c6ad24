package qio

import (
	"goemu/block"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

// Options that -r, -w and -c stand for.
const (
	optReadOnly = "read-only"
	optDirect   = "cache.direct"
	optNoFlush  = "cache.no-flush"
)

// reopenArgs are the options of reopen.
type reopenArgs struct {
	mode              block.Mode
	writethrough      bool
	hasMode, hasCache bool
	options           *block.Options
}

func (s *session) reopen(args []string) error {
	n := s.image.Node()
	if n == nil {
		return unix.ENOMEDIUM
	}
	a := reopenArgs{mode: n.Mode(), writethrough: !s.image.WriteCache(), options: block.NewOptions()}
	ops, err := s.flags(args, "c:o:rw", func(letter int, value string) error { return s.reopenOption(&a, letter, value) })
	if err != nil {
		return err
	}
	if len(ops) != 0 {
		return s.usageOf("reopen")
	}
	if a.options.Has(optReadOnly) {
		if a.hasMode {
			s.Errorf("Cannot set both -r/-w and '%s'", optReadOnly)
			return errCommand
		}
	}
	if s.image.AttachedDevice() != nil && a.writethrough == s.image.WriteCache() {
		s.Errorf("Cannot change cache.writeback: Device attached")
		return unix.EBUSY
	}
	if !a.options.Has(optDirect) && !a.options.Has(optNoFlush) {
		a.options.Set(optDirect, a.mode.Direct)
		a.options.Set(optNoFlush, a.mode.NoFlush)
	} else if a.hasCache {
		s.Errorf("Cannot set both -c and the cache options")
		return errCommand
	}
	if err := s.applyReopen(n, &a); err != nil {
		s.Report("", err)
		return errCommand
	}
	s.image.SetWriteCache(!a.writethrough)
	return nil
}

// applyReopen gives up what cannot be kept and reopens.
func (s *session) applyReopen(n *block.Node, a *reopenArgs) error {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	if a.mode.ReadOnly {
		perm, shared := s.image.Perm()
		if err := s.image.SetPerm(perm&^(block.PermWrite|block.PermWriteUnchanged), shared); err != nil {
			return err
		}
	}
	if !a.options.Has(optReadOnly) {
		a.options.Set(optReadOnly, a.mode.ReadOnly)
	}
	return s.Graph.Reopen(s.Ctx, block.ReopenRequest{Node: n, Options: a.options, KeepOld: true})
}

// reopenOption takes one option over.
func (s *session) reopenOption(a *reopenArgs, letter int, value string) (err error) {
	switch letter {
	case 'c':
		ok := false
		if a.writethrough, ok = tool.SetCache(&a.mode, value); !ok {
			s.Errorf("Invalid cache option: %s", value)
			return errCommand
		}
		a.hasCache = true
	case 'o':
		a.options.Merge(s.ParseOptions(value, ""), true)
	case 'r', 'w':
		if a.hasMode {
			s.Errorf("Only one -r/-w option may be given")
			return errCommand
		}
		a.mode.ReadOnly, a.hasMode = letter == 'r', true
	}
	return nil
}
