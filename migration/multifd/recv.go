package multifd

import (
	"bufio"
	"errors"
	"io"
	"sync"
	"time"

	"goemu/internal/memory"
	"goemu/migration/wire"
)

// Block is where pages of a RAM block go: nowhere if RAM is nil. Size is a whole number of pages.
type Block struct {
	RAM  *memory.RAMBlock
	Size uint64
}

// Receiver takes pages from channels.
type Receiver struct {
	// Find finds a block of the stream; called on any goroutine.
	Find func(name string) (Block, bool)
	// OnFail, if set, is called once when a channel does not go on as it should.
	OnFail func()

	method  Compression
	synced  chan struct{} // from channels that have got to a mark
	release chan struct{} // lets one of them go on
	count   int
	wg      sync.WaitGroup

	once   sync.Once
	failed chan struct{}
	err    error // once failed is closed
	end    sync.Once
	ended  chan struct{} // closed when a channel has ended behind a packet, as all do in the end

	mu      sync.Mutex
	filling int // channels that take pages now; guarded by mu
}

// NewReceiver prepares to take pages that are compressed by a method, its level aside.
func NewReceiver(method string) *Receiver {
	return &Receiver{method: Compression{Method: method}, synced: make(chan struct{}), release: make(chan struct{}), failed: make(chan struct{}), ended: make(chan struct{})}
}

// Add begins to read a channel, whose Hello was read.
func (r *Receiver) Add(ch io.Reader) {
	r.count++
	r.wg.Go(func() {
		if err := r.run(ch); err != nil {
			r.fail(err)
			return
		}
		r.end.Do(func() { close(r.ended) })
	})
}

func (r *Receiver) fail(err error) {
	r.once.Do(func() {
		r.err = err
		close(r.failed)
		if r.OnFail != nil && err != errClosed {
			r.OnFail()
		}
	})
}

// Err returns what is wrong with the channels.
func (r *Receiver) Err() error {
	select {
	case <-r.failed:
		if r.err == errClosed {
			return nil
		}
		return r.err
	default:
		return nil
	}
}

// Sync waits until every channel has got to its mark, and lets them go on.
func (r *Receiver) Sync() error {
	for range r.count {
		select {
		case <-r.synced:
		case <-r.ended: // before this mark
			return errEnded
		case <-r.failed:
			return r.err
		}
	}
	for range r.count {
		select {
		case r.release <- struct{}{}:
		case <-r.failed:
			return r.err
		}
	}
	return nil
}

// readAhead is how much is read of a channel at once.
const readAhead = 128 << 10

// recvChannel is a channel while it is read.
type recvChannel struct {
	*Receiver
	in    io.Reader
	z     *decompressor
	buf   [headSize]byte
	head  head
	pages [][]byte
	spare []byte // for pages that go nowhere
}

// run reads a channel to its end, which is behind a packet if there is no error.
func (r *Receiver) run(in io.Reader) error {
	ch := &recvChannel{Receiver: r, in: bufio.NewReaderSize(in, readAhead), z: newDecompressor(r.method.Method)}
	defer ch.z.end()
	for {
		_, err := io.ReadFull(ch.in, ch.buf[:])
		switch {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := ch.packet(); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errEnded
			}
			return err
		}
		if ch.head.flags&flagSync == 0 {
			continue
		}
		select {
		case r.synced <- struct{}{}:
		case <-r.failed:
			return nil
		}
		select {
		case <-r.release:
		case <-r.failed:
			return nil
		}
	}
}

// packet reads the pages of the packet whose head is in buf.
func (ch *recvChannel) packet() error {
	h := &ch.head
	if err := h.parse(ch.buf[:]); err != nil || len(h.offsets) == 0 {
		return err
	}
	if got, want := h.flags>>compressionBit&compressionMax, ch.method.number(); got != want {
		return wire.Invalid("multifd: flags received %x flags expected %x", got<<compressionBit, want<<compressionBit)
	}
	if !ch.begin() {
		return errClosed
	}
	defer ch.done()
	b, ok := ch.Find(h.block)
	if !ok {
		return wire.Invalid("multifd: unknown ram block %s", printable(h.block))
	}
	ch.pages = ch.pages[:0]
	for _, at := range h.offsets {
		if at%memory.PageSize != 0 || at >= b.Size {
			return wire.Invalid("multifd: offset too long %d (max %d)", at, b.Size)
		}
		if b.RAM == nil || b.RAM.Size()-at < memory.PageSize {
			if ch.spare == nil {
				ch.spare = make([]byte, memory.PageSize)
			}
			ch.pages = append(ch.pages, ch.spare)
			continue
		}
		ch.pages = append(ch.pages, b.RAM.Bytes()[at:at+memory.PageSize])
	}
	if err := ch.fill(); err != nil {
		return err
	}
	if b.RAM != nil {
		for _, at := range h.offsets {
			b.RAM.MarkDirty(at, memory.PageSize)
		}
	}
	return nil
}

// fill reads the content of the pages.
func (ch *recvChannel) fill() error {
	if ch.z != nil {
		if ch.head.size > maxData {
			return wire.Invalid("multifd: a packet of %d bytes is too long", ch.head.size)
		}
		return ch.z.packet(ch.in, int(ch.head.size), ch.pages)
	}
	for _, p := range ch.pages {
		if _, err := io.ReadFull(ch.in, p); err != nil {
			return err
		}
	}
	return nil
}

// begin tells whether a channel may take pages, which done ends.
func (r *Receiver) begin() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.failed:
		return false
	default:
		r.filling++
		return true
	}
}

func (r *Receiver) done() {
	r.mu.Lock()
	r.filling--
	r.mu.Unlock()
}

// Stop lets no more pages come, so that it is no failure when channels are shut down. What is true: none was in the midst of some, and they may
// as well end by themselves, behind packets without pages.
func (r *Receiver) Stop() bool {
	r.fail(errClosed)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.filling == 0
}

// Wait waits for the end of the channels, at most for a time; true if all have ended.
func (r *Receiver) Wait(most time.Duration) bool {
	ended := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return true
	case <-time.After(most):
		return false
	}
}

// Close waits for the end of the channels, which must have been shut down.
func (r *Receiver) Close() {
	r.Stop()
	r.wg.Wait()
}

// printable keeps what may be shown of a name from elsewhere.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}
