package qio

import (
	"goemu/block"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

func imageCommands() []cmd {
	return []cmd{
		{name: "truncate", alt: "t", least: 1, most: 3, perm: block.PermWrite | block.PermResize, args: "[-m prealloc_mode] off",
			oneline: "truncates the current file at the given offset", run: (*session).truncate},
		{name: "length", alt: "l", oneline: "gets the length of the current file", run: (*session).length},
		{name: "info", alt: "i", oneline: "prints information about the current file", run: (*session).info},
		{name: "alloc", alt: "a", least: 1, most: 2, args: "offset [count]", oneline: "checks if offset is allocated in the file", run: (*session).alloc},
		{name: "map", oneline: "prints the allocated areas of a file", run: (*session).mapImage},
		{name: "open", alt: "o", least: 1, most: any, noImage: true, args: "[-rsCnkU] [-t cache] [-d discard] [-o options] [path]",
			oneline: "open the file specified by path", help: openHelp, run: (*session).openCommand},
		{name: "reopen", most: any, args: "[(-r|-w)] [-c cache] [-o options]", oneline: "reopens an image with new options", help: reopenHelp,
			run: (*session).reopen},
		{name: "close", alt: "c", oneline: "close the current open file", run: (*session).closeCommand},
	}
}

func (s *session) truncate(args []string) error {
	mode := block.PreallocOff
	ops, err := s.flags(args, "m:", func(_ int, value string) error {
		m, ok := block.ParsePrealloc(value)
		if !ok {
			s.Errorf("Invalid preallocation mode '%s'", value)
			return errCommand
		}
		mode = m
		return nil
	})
	if err != nil {
		return err
	}
	if len(ops) == 0 {
		return s.usageOf("truncate")
	}
	n, err := parseNumber(ops[0])
	if err != nil {
		_, err = s.number(args[1])
		if err == nil {
			err = errCommand
		}
		return err
	}
	if err := s.image.Truncate(s.Ctx, n, false, mode, false); err != nil {
		s.Report("", err)
		return err
	}
	return nil
}

func (s *session) length([]string) error {
	n, err := s.image.Length(s.Ctx)
	if err != nil {
		s.Printf("getlength: %s\n", tool.Reason(err))
		return err
	}
	s.Printf("%s\n", amount(float64(n)))
	return nil
}

func (s *session) info([]string) error {
	n := s.image.Node()
	if n == nil {
		return unix.ENOMEDIUM
	}
	d := n.Driver()
	s.Printf("format name: %s\n", d.Name)
	if d.Protocol {
		s.Printf("format name: %s\n", d.Name)
	}
	i, ok := n.Info()
	if !ok {
		return unix.ENOTSUP
	}
	s.Printf("cluster size: %s\nvm state offset: %s\n", amount(float64(i.ClusterSize)), amount(float64(i.VMStateOffset)))
	si, ok := n.State().(block.SpecificInformer)
	if !ok {
		return nil
	}
	specific, err := si.SpecificInfo(s.Ctx)
	if err != nil {
		s.Report("", err)
		return unix.EIO
	}
	if specific != nil {
		s.Printf("Format specific information:\n")
		s.HumanMembers(tool.SpecificData(specific), 1)
	}
	return nil
}

func (s *session) alloc(args []string) error {
	start, err := s.number(args[1])
	if err != nil {
		return err
	}
	count := int64(sectorSize)
	if len(args) == 3 {
		if count, err = s.number(args[2]); err != nil {
			return err
		}
	}
	sum := int64(0)
	for off, left := start, count; left > 0; {
		allocated, n, err := s.image.Node().IsAllocated(s.Ctx, off, left)
		if err != nil {
			s.Printf("is_allocated failed: %s\n", tool.Reason(err))
			return err
		}
		off, left = off+n, left-n
		if allocated {
			sum += n
		}
		if n == 0 {
			count -= left
			break
		}
	}
	s.Printf("%d/%d bytes allocated at offset %s\n", sum, count, amount(float64(start)))
	return nil
}

// sameAllocation tells whether the byte at off is allocated and how far that goes on.
func (s *session) sameAllocation(off, left int64) (allocated bool, n int64, err error) {
	allocated, n, err = s.image.Node().IsAllocated(s.Ctx, off, left)
	for err == nil && n > 0 && n < left {
		more, k, err := s.image.Node().IsAllocated(s.Ctx, off+n, left-n)
		if err != nil || more != allocated || k == 0 {
			break
		}
		n += k
	}
	return allocated, n, err
}

func (s *session) mapImage([]string) error {
	left, err := s.image.Length(s.Ctx)
	if err != nil {
		s.Errorf("Failed to query image length: %s", tool.Reason(err))
		return err
	}
	for off := int64(0); left > 0; {
		allocated, n, err := s.sameAllocation(off, left)
		switch {
		case err != nil:
			s.Errorf("Failed to get allocation status: %s", tool.Reason(err))
			return err
		case n == 0:
			s.Errorf("Unexpected end of image")
			return unix.EIO
		}
		word := "not allocated"
		if allocated {
			word = "    allocated"
		}
		s.Printf("%s (0x%x) bytes %s at offset %s (0x%x)\n", amount(float64(n)), n, word, amount(float64(off)), off)
		off, left = off+n, left-n
	}
	return nil
}

func (s *session) openCommand(args []string) error {
	op := opening{mode: block.Mode{Unmap: true}, writethrough: true}
	ops, err := s.flags(args, "snCro:ki:t:d:U", func(letter int, value string) error { return s.openOption(&op, letter, value) })
	if err != nil {
		return err
	}
	if s.imageOpts && len(ops) == 1 {
		o := s.ParseOptions(ops[0], "")
		if op.options == nil {
			op.options = o
		} else {
			op.options.Merge(o, true)
		}
		ops = nil
	}
	switch len(ops) {
	case 0:
		return s.open("", &op)
	case 1:
		return s.open(ops[0], &op)
	}
	return s.usageOf("open")
}

// openOption takes one option of open over.
func (s *session) openOption(op *opening, letter int, value string) error {
	ok := true
	what := ""
	switch letter {
	case 's':
		op.snapshot = true
	case 'n':
		op.mode.Direct, op.writethrough = true, false
	case 'C':
		op.mode.CopyOnRead = true
	case 'r':
		op.mode.ReadOnly = true
	case 'k':
		op.mode.AIO = "native"
	case 't':
		op.writethrough, ok = tool.SetCache(&op.mode, value)
		what = "cache"
	case 'd':
		ok = tool.SetDiscard(&op.mode, value)
		what = "discard"
	case 'i':
		ok = tool.SetAIO(&op.mode, value)
		what = "aio"
	case 'U':
		op.share = true
	case 'o':
		if s.imageOpts {
			s.Printf("--image-opts and 'open -o' are mutually exclusive\n")
			return errCommand
		}
		o := s.ParseOptions(value, "")
		if op.options == nil {
			op.options = o
		} else {
			op.options.Merge(o, true)
		}
	}
	if !ok {
		s.Errorf("Invalid %s option: %s", what, value)
		return errCommand
	}
	return nil
}

func (s *session) closeCommand([]string) error {
	s.relax(s.requests.Wait)
	s.Tool.Close(s.image)
	s.image = nil
	return nil
}
