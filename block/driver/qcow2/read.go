package qcow2

import (
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// maxWorkers bounds how many pieces of one request are under way at once.
const maxWorkers = 8

// pieces runs the pieces of a request: a request of one piece in the caller's goroutine, others side by side.
type pieces struct {
	wg   sync.WaitGroup
	slot chan struct{}
	mu   sync.Mutex
	err  error
}

// run runs f. whole tells that it is all of the request.
func (p *pieces) run(whole bool, f func() error) {
	if whole && p.slot == nil {
		p.fail(f())
		return
	}
	if p.slot == nil {
		p.slot = make(chan struct{}, maxWorkers)
	}
	p.slot <- struct{}{}
	p.wg.Add(1)
	go func() {
		defer func() { <-p.slot; p.wg.Done() }()
		p.fail(f())
	}()
}

func (p *pieces) fail(err error) {
	if err == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

func (p *pieces) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err != nil
}

// wait waits for all pieces and returns the first error.
func (p *pieces) wait() error {
	p.wg.Wait()
	return p.err
}

// part is the part of a vector for n bytes from off on; the vector itself if that is all of it.
func part(iov [][]byte, total, off, n int64) [][]byte {
	if off == 0 && n == total {
		return iov
	}
	return block.IovSlice(nil, iov, off, n)
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return im.read(ctx, off, iov)
}

// read reads guest data at any offset, also that of the VM state behind the disk. The lock is not held.
func (im *image) read(ctx context.Context, off int64, iov [][]byte) error {
	total := block.IovLen(iov)
	var p pieces
	for pos := int64(0); pos < total && !p.failed(); {
		if err := im.lock(); err != nil {
			p.fail(err)
			break
		}
		m, err := im.lookup(off+pos, min(total-pos, maxRequest))
		im.mu.Unlock()
		if err != nil {
			p.fail(err)
			break
		}
		v := part(iov, total, pos, m.n)
		if im.readsZero(m.kind) {
			block.IovZero(v)
		} else {
			at := off + pos
			p.run(m.n == total-pos, func() error { return im.readPiece(ctx, m, at, v) })
		}
		pos += m.n
	}
	return p.wait()
}

// readPiece reads a piece that does not read as zeroes by itself.
func (im *image) readPiece(ctx context.Context, m mapping, off int64, iov [][]byte) error {
	switch m.kind {
	case sUnallocPlain, sUnallocAlloc:
		im.event("read_backing_aio")
		return im.backing().ReadV(ctx, off, iov, 0)
	case sCompressed:
		return im.readCompressed(ctx, m.desc, off, iov)
	}
	im.event("read_aio")
	return im.readData(ctx, m.host, off, iov)
}

// LoadVMState implements block.VMStater.
func (im *image) LoadVMState(ctx context.Context, pos int64, iov [][]byte) error {
	off, err := im.vmStateAt(pos, iov)
	if err != nil {
		return err
	}
	im.event("vmstate_load")
	return im.read(ctx, off, iov)
}

// SaveVMState implements block.VMStater.
func (im *image) SaveVMState(ctx context.Context, pos int64, iov [][]byte) error {
	off, err := im.vmStateAt(pos, iov)
	if err != nil {
		return err
	}
	im.event("vmstate_save")
	return im.write(ctx, off, iov)
}

// vmStateOffset is where the VM state begins behind the disk.
func (im *image) vmStateOffset() int64 { return im.l1VM << (im.clusterBits + im.l2Bits) }

// vmStateAt turns a position in the VM state into an offset.
func (im *image) vmStateAt(pos int64, iov [][]byte) (int64, error) {
	im.mu.Lock()
	off := im.vmStateOffset()
	im.mu.Unlock()
	if pos < 0 || pos > 1<<63-1-1<<32-off-block.IovLen(iov) {
		return 0, unix.EIO
	}
	return off + pos, nil
}
