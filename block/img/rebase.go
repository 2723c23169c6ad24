package img

import (
	"context"
	"fmt"

	"goemu/block"
)

// Rebase makes an image independent of differences between its backing file and another one: what would change is copied into the image.
type Rebase struct {
	Image    *block.Backend
	Old, New *block.Backend // nil if there is none
	NewName  string
	Name     string
	Prefix   *block.Node // the new backing file, if it is in the image's present chain

	Progress func(percent float32)
}

// Run copies.
func (r *Rebase) Run(ctx context.Context) error {
	size, err := r.Image.Length(ctx)
	if err != nil {
		return fmt.Errorf("Could not get size of '%s': %s", r.Name, reason(err))
	}
	n := r.Image.Node().SkipFilters()
	oldSize, err := optionalLength(ctx, r.Old)
	if err != nil {
		name, _ := n.BackingFile()
		return fmt.Errorf("Could not get size of '%s': %s", name, reason(err))
	}
	newSize, err := optionalLength(ctx, r.New)
	if err != nil {
		return fmt.Errorf("Could not get size of '%s': %s", r.NewName, reason(err))
	}
	bufOld, bufNew := make([]byte, bufferSize), make([]byte, bufferSize)
	step := float32(0)
	if size > 0 {
		step = 100 / float32(size/min(size, bufferSize))
	}
	for off := int64(0); off < size; {
		k, skip, err := r.pending(ctx, n, off, min(bufferSize, size-off))
		if err != nil {
			return fmt.Errorf("error while reading image metadata: %s", reason(err))
		}
		if skip {
			off += k
			continue
		}
		k = untilEnd(untilEnd(k, off, oldSize), off, newSize)
		if read(ctx, r.Old, off, oldSize, bufOld[:k]) != nil {
			return fmt.Errorf("error while reading from old backing file")
		}
		if read(ctx, r.New, off, newSize, bufNew[:k]) != nil {
			return fmt.Errorf("error while reading from new backing file")
		}
		if err := r.copy(ctx, off, bufOld[:k], bufNew[:k], off >= oldSize); err != nil {
			return fmt.Errorf("Error while writing to COW image: %s", reason(err))
		}
		off += k
		r.Progress(step)
	}
	return nil
}

func optionalLength(ctx context.Context, b *block.Backend) (int64, error) {
	if b == nil {
		return 0, nil
	}
	return b.Length(ctx)
}

// pending finds how far the range at off is alike, and whether it needs no look.
func (r *Rebase) pending(ctx context.Context, n *block.Node, off, length int64) (k int64, skip bool, err error) {
	allocated, k, err := n.IsAllocated(ctx, off, length)
	if err != nil || allocated || r.Prefix == nil {
		return k, allocated, err
	}
	cow := n.COWChild()
	if cow == nil {
		return k, false, nil
	}
	depth, same, err := cow.Node().AllocatedAbove(ctx, r.Prefix, false, off, k)
	switch {
	case err != nil || same == 0: // behind the end of the old backing file: the zeroes there must stay
		return k, false, err
	default:
		return same, depth == 0, nil
	}
}

// untilEnd cuts a range at the end of an image.
func untilEnd(k, off, size int64) int64 {
	if off < size && off+k > size {
		return size - off
	}
	return k
}

// read reads, with zeroes behind the end.
func read(ctx context.Context, b *block.Backend, off, size int64, p []byte) error {
	if b == nil || off >= size {
		clear(p)
		return nil
	}
	return b.Read(ctx, off, p)
}

// copy writes what differs.
func (r *Rebase) copy(ctx context.Context, off int64, a, b []byte, zero bool) error {
	for len(a) > 0 {
		same, k := sameRun(a, b)
		if !same {
			var err error
			if zero {
				err = r.Image.WriteZeroes(ctx, off, int64(k), 0)
			} else {
				err = r.Image.Write(ctx, off, a[:k], 0)
			}
			if err != nil {
				return err
			}
		}
		off, a, b = off+int64(k), a[k:], b[k:]
	}
	return nil
}
