package qio

import (
	"bytes"
	"context"
	"time"

	"goemu/block"
	"goemu/internal/tool"
)

func aioCommands() []cmd {
	return []cmd{
		{name: "aio_read", least: 2, most: any, args: "[-Ciqv] [-P pattern] off len [len..]", oneline: "asynchronously reads a number of bytes",
			help: aioReadHelp, run: (*session).aioRead},
		{name: "aio_write", least: 2, most: any, perm: block.PermWrite, args: "[-Cfiquz] [-P pattern] off len [len..]",
			oneline: "asynchronously writes a number of bytes", help: aioWriteHelp, run: (*session).aioWrite},
		{name: "aio_flush", oneline: "completes all outstanding aio requests", run: func(s *session, _ []string) error {
			stats := &s.image.Stats
			count := stats.Start(block.AcctFlush, 0)
			s.relax(s.requests.Wait)
			stats.Done(count)
			return nil
		}},
		{name: "flush", alt: "f", oneline: "flush all in-core file state to disk", run: func(s *session, _ []string) error { return s.image.Flush(s.Ctx) }},
	}
}

// background does a request while the next commands run, and then, without others printing, tells what became of it.
func (s *session) background(do func(context.Context) error, done func(took time.Duration, err error)) {
	began := make(chan struct{})
	s.requests.Add(1)
	ctx, end := block.Stepped(s.Ctx)
	go func() {
		defer s.requests.Done()
		defer end()
		start := time.Now()
		close(began)
		err := do(ctx)
		took := time.Since(start)
		s.output.Lock()
		defer s.output.Unlock()
		done(took, err)
		if s.live {
			s.Out.Flush()
		}
	}()
	<-began
}

func (s *session) aioRead(args []string) error {
	var a readArgs
	invalid := false
	ops, err := s.flags(args, "CP:iqv", func(letter int, value string) (err error) {
		switch letter {
		case 'C':
			a.machine = true
		case 'P':
			a.verify = true
			a.pattern, err = s.parsePattern(value)
		case 'i':
			invalid = true
		case 'q':
			a.quiet = true
		case 'v':
			a.dump = true
		}
		return err
	})
	if err != nil {
		return err
	}
	if invalid {
		s.Printf("injecting invalid read request\n")
		s.image.Stats.Invalidate(block.AcctRead)
		return nil
	}
	if len(ops) < 2 {
		return s.usageOf("aio_read")
	}
	if a.off, err = s.number(ops[0]); err != nil {
		return err
	}
	iov, err := s.vector(ops[1:], readFill)
	if err != nil {
		s.image.Stats.Invalidate(block.AcctRead)
		return err
	}
	image, n := s.image, block.IovLen(iov)
	count := image.Stats.Start(block.AcctRead, n)
	s.background(func(ctx context.Context) error { return image.ReadV(ctx, a.off, iov, 0) }, func(took time.Duration, err error) {
		if err != nil {
			s.Printf("readv failed: %s\n", tool.Reason(err))
			image.Stats.Fail(count)
			return
		}
		if a.verify && !same(iov, a.pattern) {
			s.Printf("Pattern verification failed at offset %d, %d bytes\n", a.off, n)
		}
		image.Stats.Done(count)
		if a.quiet {
			return
		}
		if a.dump {
			s.dump(bytes.Join(iov, nil), a.off)
		}
		s.report("read", took, a.off, n, n, 1, a.machine)
	})
	return nil
}

func (s *session) aioWrite(args []string) error {
	a := writeArgs{pattern: writeFill}
	invalid := false
	ops, err := s.flags(args, "CfiqP:uz", func(letter int, value string) error {
		invalid = invalid || letter == 'i'
		return s.setWrite(&a, letter, value)
	})
	if err != nil {
		return err
	}
	if invalid {
		s.Printf("injecting invalid write request\n")
		s.image.Stats.Invalidate(block.AcctWrite)
		return nil
	}
	switch {
	case len(ops) < 2:
		return s.usageOf("aio_write")
	case a.zero && len(ops) != 2:
		s.Printf("-z supports only a single length parameter\n")
		return errCommand
	case a.flags&block.MayUnmap != 0 && !a.zero:
		s.Printf("-u requires -z to be specified\n")
		return errCommand
	case a.zero && a.hasPattern:
		s.Printf("-z and -P cannot be specified at the same time\n")
		return errCommand
	}
	if a.off, err = s.number(ops[0]); err != nil {
		return err
	}
	var iov [][]byte
	if a.zero {
		a.size, err = s.number(ops[1])
	} else {
		iov, err = s.vector(ops[1:], a.pattern)
		a.size = block.IovLen(iov)
	}
	image := s.image
	if err != nil {
		image.Stats.Invalidate(block.AcctWrite)
		return err
	}
	count := image.Stats.Start(block.AcctWrite, a.size)
	do := func(ctx context.Context) error { return image.WriteV(ctx, a.off, iov, a.flags) }
	if a.zero {
		do = func(ctx context.Context) error { return image.WriteZeroes(ctx, a.off, a.size, a.flags) }
	}
	s.background(do, func(took time.Duration, err error) {
		if err != nil {
			s.Printf("aio_write failed: %s\n", tool.Reason(err))
			image.Stats.Fail(count)
			return
		}
		image.Stats.Done(count)
		if !a.quiet {
			s.report("wrote", took, a.off, a.size, a.size, 1, a.machine)
		}
	})
	return nil
}
