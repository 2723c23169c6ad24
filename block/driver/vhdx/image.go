package vhdx

import (
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"goemu/block"
)

// region is a part of the file with a purpose of its own.
type region struct{ start, end uint64 }

// image is the state of an open image.
type image struct {
	node *block.Node
	file *block.Child
	geometry
	batAt    int64
	replayed bool // the log was not empty when the image was opened

	regions []region

	mu       sync.RWMutex // held for writing while a block gets its place
	headers  [2][]byte    // as they are stored; guarded by mu
	current  int          // the header that counts; guarded by mu
	bat      []byte       // as it is stored, as far as it is not zero; guarded by mu
	log      log          // guarded by mu
	renewed  bool         // the headers say that the content has changed; guarded by mu
	identity string       // GUID of this use of the file
}

// entry is an entry of the BAT.
// Preconditions: mu is held.
func (im *image) entry(i int64) uint64 {
	if (i+1)*batEntryLen > int64(len(im.bat)) {
		return 0
	}
	return le.Uint64(im.bat[i*batEntryLen:])
}

// place is the position of a byte in the file, or false if it has none and reads as zero.
// Preconditions: mu is held.
func (im *image) place(off int64) (pos int64, ok bool, err error) {
	e := im.entry(im.index(off / im.block))
	switch e & stateMask {
	case blockNotPresent, blockUndefined, blockZero, blockUnmapped, blockUnmapped095:
		return 0, false, nil
	case blockPresent:
		if at := e & placeMask; at < 1<<62 {
			return int64(at) + off%im.block, true, nil
		}
	}
	return 0, false, unix.EIO
}

// ReadV implements block.Reader.
func (im *image) ReadV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	return block.IovPieces(off, im.block, iov, func(off int64, part [][]byte) error {
		im.mu.RLock()
		pos, ok, err := im.place(off)
		im.mu.RUnlock()
		switch {
		case err != nil:
			return err
		case ok:
			return im.file.ReadV(ctx, pos, part, 0)
		}
		block.IovZero(part)
		return nil
	})
}

// WriteV implements block.Writer.
func (im *image) WriteV(ctx context.Context, off int64, iov [][]byte, _ block.Flags) error {
	if err := im.renew(ctx); err != nil {
		return err
	}
	return block.IovPieces(off, im.block, iov, func(off int64, part [][]byte) error {
		im.mu.RLock()
		pos, ok, err := im.place(off)
		im.mu.RUnlock()
		switch {
		case err != nil:
			return err
		case !ok:
			if pos, ok, err = im.add(ctx, off, part); err != nil || !ok {
				return err
			}
		}
		if pos < sectionEnd {
			return unix.EFAULT
		}
		return im.file.WriteV(ctx, pos, part, 0)
	})
}

// add gives a block its place, with data at off and zeroes around it. If somebody else was faster, it tells the data's position.
func (im *image) add(ctx context.Context, off int64, part [][]byte) (pos int64, there bool, err error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	if pos, there, err = im.place(off); there || err != nil {
		return pos, there, err
	}
	length, err := im.file.Length(ctx)
	if err != nil {
		return 0, false, err
	}
	at := roundUp(length, mib)
	err = im.file.Truncate(ctx, at+im.block, false, block.PreallocOff, true)
	if block.IsNotSup(err) {
		if err = im.file.Truncate(ctx, at+im.block, false, block.PreallocOff, false); err == nil {
			err = im.file.WriteZeroes(ctx, at, im.block, 0)
		}
	}
	if err != nil {
		return 0, false, err
	}
	if err := im.file.WriteV(ctx, at+off%im.block, part, 0); err != nil {
		return 0, false, err
	}
	i := im.index(off / im.block)
	e := le.AppendUint64(nil, uint64(at)|blockPresent)
	if err := im.change(ctx, im.batAt+i*batEntryLen, e); err != nil {
		return 0, false, err
	}
	if more := (i+1)*batEntryLen - int64(len(im.bat)); more > 0 {
		im.bat = append(im.bat, make([]byte, more)...)
	}
	copy(im.bat[i*batEntryLen:], e)
	return 0, false, nil
}

// renew makes the headers say, once, that the content is another one from now on.
func (im *image) renew(ctx context.Context) error {
	im.mu.RLock()
	done := im.renewed
	im.mu.RUnlock()
	if done {
		return nil
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	return im.renewLocked(ctx)
}

// renewLocked is renew.
// Preconditions: mu is held.
func (im *image) renewLocked(ctx context.Context) error {
	if im.renewed {
		return nil
	}
	data := newGUID()
	err := im.setHeader(ctx, func(h []byte) { copy(h[hdrDataGUID:], data) })
	im.renewed = err == nil
	return err
}

// setHeader changes both headers, one after the other, so that one is right at any time.
// Preconditions: mu is held.
func (im *image) setHeader(ctx context.Context, change func(h []byte)) error {
	for range im.headers {
		old, to := im.headers[im.current], 1-im.current
		h := append([]byte(nil), old...)
		le.PutUint64(h[hdrSequence:], le.Uint64(old[hdrSequence:])+1)
		copy(h[hdrFileGUID:], im.identity)
		change(h)
		sign(h)
		if err := im.file.Write(ctx, headerAt[to], h, 0); err != nil {
			return err
		}
		if err := im.file.Flush(ctx); err != nil {
			return err
		}
		im.headers[to], im.current = h, to
	}
	return nil
}
