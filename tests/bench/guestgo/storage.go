package main

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// What the storage works move.
const (
	diskBytes   = 64 << 20
	diskChunk   = 256 << 10
	blockBytes  = 4096
	singleReads = 2000
	deepReads   = 1000 // of each reader
	readers     = 8
	sharedFiles = 200
)

// aligned is memory as direct transfers want it: whole pages.
func aligned(n int) []byte {
	b, err := syscall.Mmap(-1, 0, n, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	return b
}

func openDirect(path string, flags int) (*os.File, error) {
	return os.OpenFile(path, flags|syscall.O_DIRECT, 0)
}

// sequential moves diskBytes from the beginning on.
func sequential(path string, flags int) error {
	f, err := openDirect(path, flags)
	if err != nil {
		return err
	}
	defer f.Close()
	b := aligned(diskChunk)
	for off := int64(0); off < diskBytes && err == nil; off += diskChunk {
		if flags == os.O_RDONLY {
			_, err = f.ReadAt(b, off)
		} else {
			_, err = f.WriteAt(b, off)
		}
	}
	if err == nil && flags != os.O_RDONLY {
		err = f.Sync()
	}
	return err
}

// random reads blocks at random places, with several readers at once.
func random(path string, readers, each int) error {
	f, err := openDirect(path, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer f.Close()
	var wg sync.WaitGroup
	errs := make([]error, readers)
	for i := range readers {
		wg.Go(func() {
			rng, b := rand.New(rand.NewPCG(1, uint64(i))), aligned(blockBytes)
			for range each {
				if _, errs[i] = f.ReadAt(b, rng.Int64N(diskBytes/blockBytes)*blockBytes); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	for _, e := range errs {
		if e != nil {
			return e
		}
	}
	return nil
}

// readFile reads a file of a directory that the host shares.
func readFile(dir string) error {
	f, err := os.Open(filepath.Join(dir, "big"))
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, diskChunk))
	if err == nil && n != diskBytes {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// metadata makes, looks at, renames and removes files.
func metadata(dir string) error {
	for i := range sharedFiles {
		a, b := filepath.Join(dir, fmt.Sprint("a", i)), filepath.Join(dir, fmt.Sprint("b", i))
		if err := os.WriteFile(a, []byte("x"), 0o644); err != nil {
			return err
		}
		if _, err := os.Stat(a); err != nil {
			return err
		}
		if err := os.Rename(a, b); err != nil {
			return err
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) < sharedFiles {
		return fmt.Errorf("%d entries: %w", len(list), err)
	}
	for i := range sharedFiles {
		if err := os.Remove(filepath.Join(dir, fmt.Sprint("b", i))); err != nil {
			return err
		}
	}
	return nil
}

// storage does the works on a disk, or in a directory.
func storage(name, path string) {
	works := []struct {
		name string
		run  func() error
	}{
		{"read", func() error { return sequential(path, os.O_RDONLY) }}, {"write", func() error { return sequential(path, os.O_WRONLY) }},
		{"random", func() error { return random(path, 1, singleReads) }}, {"parallel", func() error { return random(path, readers, deepReads) }},
	}
	if name == "9p" {
		works = works[:2]
		works[0].run = func() error { return readFile(path) }
		works[1].name, works[1].run = "meta", func() error { return metadata(path) }
	}
	for _, w := range works {
		t := time.Now()
		if err := w.run(); err != nil {
			fmt.Fprintln(os.Stderr, name, w.name, err)
			os.Exit(1)
		}
		fmt.Printf("BENCH %s-%s storage %d 0\n", name, w.name, time.Since(t).Nanoseconds())
	}
}
