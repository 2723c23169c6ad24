package qio

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"time"

	"goemu/block"
	"goemu/internal/tool"

	"golang.org/x/sys/unix"
)

const (
	sectorSize = 512
	// maxRequest is the longest request.
	maxRequest = math.MaxInt32 - math.MaxInt32%sectorSize
	// readFill and writeFill are the bytes that buffers have.
	readFill, writeFill = 0xab, 0xcd
	// misalignment of buffers with -m.
	misalignment = 16
)

func ioCommands() []cmd {
	return []cmd{
		{name: "read", alt: "r", least: 2, most: any, args: "[-abCqv] [-P pattern [-s off] [-l len]] off len",
			oneline: "reads a number of bytes at a specified offset", help: readHelp, run: (*session).read},
		{name: "readv", least: 2, most: any, args: "[-Cqv] [-P pattern] off len [len..]",
			oneline: "reads a number of bytes at a specified offset", help: readvHelp, run: (*session).readv},
		{name: "write", alt: "w", least: 2, most: any, perm: block.PermWrite, args: "[-bcCfnquz] [-P pattern | -s source_file] off len",
			oneline: "writes a number of bytes at a specified offset", help: writeHelp, run: (*session).write},
		{name: "writev", least: 2, most: any, perm: block.PermWrite, args: "[-Cfq] [-P pattern] off len [len..]",
			oneline: "writes a number of bytes at a specified offset", help: writevHelp, run: (*session).writev},
		{name: "discard", alt: "d", least: 2, most: any, perm: block.PermWrite, args: "[-Cq] off len",
			oneline: "discards a number of bytes at a specified offset", help: discardHelp, run: (*session).discard},
	}
}

// buffer makes a buffer filled with a byte.
func (s *session) buffer(n int64, fill byte) []byte {
	b := make([]byte, n+misalignment)
	if s.misalign {
		b = b[misalignment:]
	} else {
		b = b[:n]
	}
	for i := range b {
		b[i] = fill
	}
	return b
}

// vector makes a vector of buffers with the lengths given.
func (s *session) vector(lengths []string, fill byte) (iov [][]byte, err error) {
	total := int64(0)
	for _, text := range lengths {
		n, err := s.number(text)
		if err != nil {
			return nil, err
		}
		if n > maxRequest {
			s.Printf("Argument '%s' exceeds maximum size %d\n", text, maxRequest)
			return nil, errCommand
		}
		if total > maxRequest-n {
			s.Printf("The total number of bytes exceed the maximum size %d\n", maxRequest)
			return nil, errCommand
		}
		total += n
		iov = append(iov, s.buffer(n, fill))
	}
	return iov, nil
}

// same tells whether all bytes of a vector are b.
func same(iov [][]byte, b byte) bool {
	for _, v := range iov {
		if len(v) > 0 && (v[0] != b || !bytes.Equal(v[1:], v[:len(v)-1])) {
			return false
		}
	}
	return true
}

// area reads an offset and a length.
func (s *session) area(ops []string) (off, n int64, err error) {
	if off, err = s.number(ops[0]); err == nil {
		n, err = s.number(ops[1])
	}
	return off, n, err
}

// sectors checks that a request for the VM state consists of sectors.
func (s *session) sectors(off, n int64) error {
	for _, v := range []struct {
		n    int64
		name string
	}{{off, "offset"}, {n, "count"}} {
		if v.n%sectorSize != 0 {
			s.Printf("%d is not a sector-aligned value for '%s'\n", v.n, v.name)
			return errCommand
		}
	}
	return nil
}

// readArgs are the options of reads.
type readArgs struct {
	machine, quiet, dump, vmstate     bool
	verify, hasOff, hasLen            bool
	pattern                           byte
	patternOff, patternLen, off, size int64
}

func (s *session) read(args []string) error {
	var a readArgs
	ops, err := s.flags(args, "bCl:pP:qs:v", func(letter int, value string) (err error) {
		switch letter {
		case 'b':
			a.vmstate = true
		case 'C':
			a.machine = true
		case 'l':
			a.hasLen = true
			a.patternLen, err = s.number(value)
		case 'P':
			a.verify = true
			a.pattern, err = s.parsePattern(value)
		case 'q':
			a.quiet = true
		case 's':
			a.hasOff = true
			a.patternOff, err = s.number(value)
		case 'v':
			a.dump = true
		}
		return err
	})
	if err != nil {
		return err
	}
	if len(ops) != 2 {
		return s.usageOf("read")
	}
	if a.off, a.size, err = s.area(ops); err != nil {
		return err
	}
	if a.size > maxRequest {
		s.Printf("length cannot exceed %d, given %s\n", maxRequest, ops[1])
		return errCommand
	}
	if !a.verify && (a.hasOff || a.hasLen) {
		return s.usageOf("read")
	}
	if !a.hasLen {
		a.patternLen = a.size - a.patternOff
	}
	if a.patternLen < 0 || a.patternLen+a.patternOff > a.size {
		s.Printf("pattern verification range exceeds end of read data\n")
		return errCommand
	}
	if a.vmstate {
		if err := s.sectors(a.off, a.size); err != nil {
			return err
		}
	}
	return s.doRead(&a)
}

func (s *session) doRead(a *readArgs) error {
	buf := s.buffer(a.size, readFill)[:a.size]
	iov := [][]byte{buf}
	start := time.Now()
	var err error
	if a.vmstate {
		err = s.image.LoadVMState(s.Ctx, a.off, iov)
	} else {
		err = s.image.ReadV(s.Ctx, a.off, iov, 0)
	}
	took := time.Since(start)
	if err != nil {
		s.Printf("read failed: %s\n", tool.Reason(err))
		return err
	}
	if part := buf[a.patternOff : a.patternOff+a.patternLen]; a.verify && !same([][]byte{part}, a.pattern) {
		s.Printf("Pattern verification failed at offset %d, %d bytes\n", a.off+a.patternOff, a.patternLen)
		err = errCommand
	}
	if a.quiet {
		return err
	}
	if a.dump {
		s.dump(buf, a.off)
	}
	s.report("read", took, a.off, a.size, a.size, 1, a.machine)
	return err
}

func (s *session) readv(args []string) error {
	var a readArgs
	ops, err := s.flags(args, "CP:qv", func(letter int, value string) (err error) {
		switch letter {
		case 'C':
			a.machine = true
		case 'P':
			a.verify = true
			a.pattern, err = s.parsePattern(value)
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
	if len(ops) < 2 {
		return s.usageOf("readv")
	}
	if a.off, err = s.number(ops[0]); err != nil {
		return err
	}
	iov, err := s.vector(ops[1:], readFill)
	if err != nil {
		return err
	}
	n := block.IovLen(iov)
	start := time.Now()
	err = s.image.ReadV(s.Ctx, a.off, iov, 0)
	took := time.Since(start)
	if err != nil {
		s.Printf("readv failed: %s\n", tool.Reason(err))
		return err
	}
	if a.verify && !same(iov, a.pattern) {
		s.Printf("Pattern verification failed at offset %d, %d bytes\n", a.off, n)
		err = errCommand
	}
	if a.quiet {
		return err
	}
	if a.dump {
		s.dump(bytes.Join(iov, nil), a.off)
	}
	s.report("read", took, a.off, n, n, 1, a.machine)
	return err
}

// writeArgs are the options of writes.
type writeArgs struct {
	machine, quiet, vmstate, compress, zero, hasPattern bool
	pattern                                             byte
	file                                                string
	hasFile                                             bool
	flags                                               block.Flags
	off, size                                           int64
}

// set takes one option over.
func (s *session) setWrite(a *writeArgs, letter int, value string) (err error) {
	switch letter {
	case 'b':
		a.vmstate = true
	case 'c':
		a.compress = true
	case 'C':
		a.machine = true
	case 'f':
		a.flags |= block.FUA
	case 'n':
		a.flags |= block.NoFallback
	case 'P':
		a.hasPattern = true
		a.pattern, err = s.parsePattern(value)
	case 'q':
		a.quiet = true
	case 's':
		a.file, a.hasFile = value, true
	case 'u':
		a.flags |= block.MayUnmap
	case 'z':
		a.zero = true
	}
	return err
}

// contradiction tells what of the options does not go together.
func (a *writeArgs) contradiction() string {
	choices := 0
	for _, b := range []bool{a.zero, a.hasPattern, a.hasFile} {
		if b {
			choices++
		}
	}
	switch {
	case a.vmstate && a.zero:
		return "-b and -z cannot be specified at the same time"
	case a.flags&block.FUA != 0 && (a.vmstate || a.compress):
		return "-f and -b or -c cannot be specified at the same time"
	case a.flags&block.NoFallback != 0 && !a.zero:
		return "-n requires -z to be specified"
	case a.flags&block.MayUnmap != 0 && !a.zero:
		return "-u requires -z to be specified"
	case choices > 1:
		return "Only one of -z, -P, and -s can be specified at the same time"
	}
	return ""
}

func (s *session) write(args []string) error {
	a := writeArgs{pattern: writeFill}
	ops, err := s.flags(args, "bcCfnpP:qs:uz", func(letter int, value string) error { return s.setWrite(&a, letter, value) })
	if err != nil {
		return err
	}
	if len(ops) != 2 {
		return s.usageOf("write")
	}
	if text := a.contradiction(); text != "" {
		s.Printf("%s\n", text)
		return errCommand
	}
	if a.off, a.size, err = s.area(ops); err != nil {
		return err
	}
	if a.size > maxRequest && a.flags&block.NoFallback == 0 {
		s.Printf("length cannot exceed %d without -n, given %s\n", maxRequest, ops[1])
		return errCommand
	}
	if a.vmstate || a.compress {
		if err := s.sectors(a.off, a.size); err != nil {
			return err
		}
	}
	return s.doWrite(&a)
}

func (s *session) doWrite(a *writeArgs) error {
	var iov [][]byte
	if !a.zero {
		b := s.buffer(a.size, a.pattern)[:a.size]
		if a.hasFile && !s.fromFile(b, a.file) {
			return errCommand
		}
		iov = [][]byte{b}
	}
	start := time.Now()
	var err error
	switch {
	case a.vmstate:
		err = s.image.SaveVMState(s.Ctx, a.off, iov)
	case a.zero:
		err = s.image.WriteZeroes(s.Ctx, a.off, a.size, a.flags)
	case a.compress:
		err = s.image.WriteCompressed(s.Ctx, a.off, iov)
	default:
		err = s.image.WriteV(s.Ctx, a.off, iov, a.flags)
	}
	took := time.Since(start)
	if err != nil {
		s.Printf("write failed: %s\n", tool.Reason(err))
		return err
	}
	if !a.quiet {
		s.report("wrote", took, a.off, a.size, a.size, 1, a.machine)
	}
	return nil
}

// fromFile fills b with a file's content, over and over.
func (s *session) fromFile(b []byte, name string) bool {
	f, err := os.Open(name)
	if err != nil {
		fmt.Fprintf(s.Err, "%s: %s\n", name, reasonOf(err))
		return false
	}
	defer f.Close()
	n := 0
	for n < len(b) {
		k, err := f.Read(b[n:])
		if n += k; err != nil || k == 0 {
			break
		}
	}
	if n == 0 {
		fmt.Fprintf(s.Err, "%s: file is empty\n", name)
		return false
	}
	for at := n; at < len(b); {
		at += copy(b[at:], b[:n])
	}
	return true
}

// reasonOf is the C library's text for an error of package os.
func reasonOf(err error) string {
	if e, ok := err.(*os.PathError); ok {
		if no, ok := e.Err.(unix.Errno); ok {
			return block.Strerror(no)
		}
	}
	return err.Error()
}

func (s *session) writev(args []string) error {
	a := writeArgs{pattern: writeFill}
	ops, err := s.flags(args, "CfqP:", func(letter int, value string) error { return s.setWrite(&a, letter, value) })
	if err != nil {
		return err
	}
	if len(ops) < 2 {
		return s.usageOf("writev")
	}
	if a.off, err = s.number(ops[0]); err != nil {
		return err
	}
	iov, err := s.vector(ops[1:], a.pattern)
	if err != nil {
		return err
	}
	n := block.IovLen(iov)
	start := time.Now()
	err = s.image.WriteV(s.Ctx, a.off, iov, a.flags)
	took := time.Since(start)
	if err != nil {
		s.Printf("writev failed: %s\n", tool.Reason(err))
		return err
	}
	if !a.quiet {
		s.report("wrote", took, a.off, n, n, 1, a.machine)
	}
	return nil
}

func (s *session) discard(args []string) error {
	var machine, quiet bool
	ops, err := s.flags(args, "Cq", func(letter int, _ string) error {
		machine, quiet = machine || letter == 'C', quiet || letter == 'q'
		return nil
	})
	if err != nil {
		return err
	}
	if len(ops) != 2 {
		return s.usageOf("discard")
	}
	off, n, err := s.area(ops)
	if err != nil {
		return err
	}
	if n > maxRequest {
		s.Printf("length cannot exceed %d, given %s\n", maxRequest, ops[1])
		return errCommand
	}
	start := time.Now()
	err = s.image.Discard(s.Ctx, off, n)
	took := time.Since(start)
	if err != nil {
		s.Printf("discard failed: %s\n", tool.Reason(err))
		return err
	}
	if !quiet {
		s.report("discard", took, off, n, n, 1, machine)
	}
	return nil
}
