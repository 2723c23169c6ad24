package blockcmd

import (
	"context"
	"math/bits"

	"goemu/block"
	"goemu/block/bitmap"
	"goemu/qapi"

	"golang.org/x/sys/unix"
)

// bitmap finds a bitmap and its node.
// Preconditions: the graph lock is held.
func (s *Service) bitmap(node, name string) (*block.Node, *bitmap.Bitmap, error) {
	n, err := s.lookup(node)
	if err != nil {
		return nil, nil, block.Errorf(unix.ENOENT, "Node '%s' not found", node)
	}
	b := n.FindBitmap(name)
	if b == nil {
		return nil, nil, block.Errorf(unix.ENOENT, "Dirty bitmap '%s' not found", name)
	}
	return n, b, nil
}

// minGranularity is the smallest granularity that a user may ask for.
const minGranularity = 512

// addBitmap makes a bitmap.
// Preconditions: the graph lock is held.
func (s *Service) addBitmap(ctx context.Context, a *qapi.BlockDirtyBitmapAdd) (*block.Node, *bitmap.Bitmap, error) {
	if a.Name == "" {
		return nil, nil, block.Errorf(unix.EINVAL, "Bitmap name cannot be empty")
	}
	n, err := s.lookup(a.Node)
	if err != nil {
		return nil, nil, err
	}
	granularity := n.DefaultBitmapGranularity()
	if g := a.Granularity; g != nil {
		if *g < minGranularity || bits.OnesCount32(*g) != 1 {
			return nil, nil, block.Errorf(unix.EINVAL, "Granularity must be power of 2 and at least 512")
		}
		granularity = int64(*g)
	}
	persistent := deref(a.Persistent, false)
	if persistent {
		if err := n.CanStoreBitmap(ctx, a.Name, granularity); err != nil {
			return nil, nil, err
		}
	}
	b, err := n.AddBitmap(ctx, a.Name, granularity)
	if err != nil {
		return nil, nil, err
	}
	b.Change(func(st *bitmap.State) { st.Enabled, st.Persistent = !deref(a.Disabled, false), persistent })
	return n, b, nil
}

// BlockDirtyBitmapAdd implements qapi.BlockCoreCommands.
func (s *Service) BlockDirtyBitmapAdd(ctx context.Context, a *qapi.BlockDirtyBitmapAdd) error {
	return s.locked(func() error {
		_, _, err := s.addBitmap(ctx, a)
		return err
	})
}

// unstoreBitmap removes a bitmap from the image, but not from its node.
// Preconditions: the graph lock is held.
func (s *Service) unstoreBitmap(ctx context.Context, a *qapi.BlockDirtyBitmap) (*block.Node, *bitmap.Bitmap, error) {
	n, b, err := s.bitmap(a.Node, a.Name)
	if err != nil {
		return nil, nil, err
	}
	if err := block.CheckBitmap(b, block.BitmapNotBusy|block.BitmapWritable); err != nil {
		return nil, nil, err
	}
	if b.State().Persistent {
		if err := n.RemoveStoredBitmap(ctx, a.Name); err != nil {
			return nil, nil, err
		}
	}
	return n, b, nil
}

// BlockDirtyBitmapRemove implements qapi.BlockCoreCommands.
func (s *Service) BlockDirtyBitmapRemove(ctx context.Context, a *qapi.BlockDirtyBitmap) error {
	return s.locked(func() error {
		n, b, err := s.unstoreBitmap(ctx, a)
		if err == nil {
			n.RemoveBitmap(b)
		}
		return err
	})
}

// onBitmap does something with a bitmap that allows the use.
func (s *Service) onBitmap(a *qapi.BlockDirtyBitmap, use block.BitmapUse, f func(*bitmap.Bitmap)) error {
	return s.locked(func() error {
		_, b, err := s.bitmap(a.Node, a.Name)
		if err == nil {
			err = block.CheckBitmap(b, use)
		}
		if err == nil {
			f(b)
		}
		return err
	})
}

// BlockDirtyBitmapClear implements qapi.BlockCoreCommands.
func (s *Service) BlockDirtyBitmapClear(_ context.Context, a *qapi.BlockDirtyBitmap) error {
	return s.onBitmap(a, block.BitmapChange, func(b *bitmap.Bitmap) { b.Clear() })
}

// enable makes a bitmap record writes, or no longer.
func enable(b *bitmap.Bitmap, on bool) { b.Change(func(st *bitmap.State) { st.Enabled = on }) }

// BlockDirtyBitmapEnable implements qapi.BlockCoreCommands.
func (s *Service) BlockDirtyBitmapEnable(_ context.Context, a *qapi.BlockDirtyBitmap) error {
	return s.onBitmap(a, block.BitmapRead, func(b *bitmap.Bitmap) { enable(b, true) })
}

// BlockDirtyBitmapDisable implements qapi.BlockCoreCommands.
func (s *Service) BlockDirtyBitmapDisable(_ context.Context, a *qapi.BlockDirtyBitmap) error {
	return s.onBitmap(a, block.BitmapRead, func(b *bitmap.Bitmap) { enable(b, false) })
}

// mergeBitmaps adds the marks of bitmaps to another one and returns it with its content before; a failure leaves that.
// Preconditions: the graph lock is held.
func (s *Service) mergeBitmaps(a *qapi.BlockDirtyBitmapMerge) (dst *bitmap.Bitmap, before *bitmap.Map, err error) {
	n, dst, err := s.bitmap(a.Node, a.Target)
	if err != nil {
		return nil, nil, err
	}
	for _, ref := range a.Bitmaps {
		var src *bitmap.Bitmap
		if ref.External != nil {
			_, src, err = s.bitmap(ref.External.Node, ref.External.Name)
		} else if src = n.FindBitmap(*ref.Local); src == nil {
			err = block.Errorf(unix.ENOENT, "Dirty bitmap '%s' not found", *ref.Local)
		}
		var old *bitmap.Map
		if err == nil {
			old, err = block.MergeBitmap(dst, src)
		}
		if err != nil {
			if before != nil {
				dst.Restore(before)
			}
			return nil, nil, err
		}
		if before == nil {
			before = old
		}
	}
	return dst, before, nil
}

// BlockDirtyBitmapMerge implements qapi.BlockCoreCommands.
func (s *Service) BlockDirtyBitmapMerge(_ context.Context, a *qapi.BlockDirtyBitmapMerge) error {
	return s.locked(func() error {
		_, _, err := s.mergeBitmaps(a)
		return err
	})
}

// XDebugBlockDirtyBitmapSha256 implements qapi.BlockCoreCommands.
func (s *Service) XDebugBlockDirtyBitmapSha256(_ context.Context, a *qapi.BlockDirtyBitmap) (*qapi.BlockDirtyBitmapSha256, error) {
	s.Graph.Lock()
	defer s.Graph.Unlock()
	_, b, err := s.bitmap(a.Node, a.Name)
	if err != nil {
		return nil, err
	}
	return &qapi.BlockDirtyBitmapSha256{Sha256: b.Sum()}, nil
}
