package luks

import (
	"context"
	"errors"

	"goemu/block"
)

// amendment is what is to be done with the key slots.
type amendment struct {
	activate                     bool
	slot                         int64
	hasSlot, hasOld, hasNew      bool
	hasTime, hasSecret           bool
	oldSecret, newSecret, secret string
	iterTime                     uint64
}

// takeAmendment takes the options out of o.
func takeAmendment(o *block.Options, prefix string) (a amendment, err error) {
	state, ok := o.TakeString(prefix + optState)
	switch {
	case !ok:
		return a, bad("Parameter '%s%s' is missing", prefix, optState)
	case state != "active" && state != "inactive":
		return a, bad("Parameter '%s%s' does not accept value '%s'", prefix, optState, state)
	}
	a.activate = state == "active"
	a.hasSlot, a.hasTime = o.Has(prefix+optKeyslot), o.Has(prefix+optIterTime)
	a.oldSecret, a.hasOld = o.TakeString(prefix + optOldSecret)
	a.newSecret, a.hasNew = o.TakeString(prefix + optNewSecret)
	a.secret, a.hasSecret = o.TakeString(prefix + optSecret)
	n, err := o.TakeUint(prefix+optKeyslot, 0)
	if err != nil {
		return a, err
	}
	a.slot = int64(n)
	a.iterTime, err = takeNumber(o, prefix, optIterTime, defaultIterTime)
	return a, err
}

// Amend changes key slots as QEMU's type QCryptoBlockAmendOptionsLUKS says.
func (v *Volume) Amend(ctx context.Context, g *block.Graph, s Store, o *block.Options, prefix string, force bool) error {
	a, err := takeAmendment(o, prefix)
	if err != nil {
		return err
	}
	if a.activate {
		return v.activate(ctx, g, s, &a, force)
	}
	return v.erase(ctx, g, s, &a, force)
}

// hinted appends a line to an error.
func hinted(err error, hint string) error {
	var e *block.Error
	if !errors.As(err, &e) {
		return err
	}
	return &block.Error{Errno: e.Errno, Text: e.Text, Hint: hint}
}

// activate adds a password.
func (v *Volume) activate(ctx context.Context, g *block.Graph, s Store, a *amendment, force bool) error {
	switch {
	case !a.hasNew:
		return bad("'new-secret' is required to activate a keyslot")
	case a.hasOld:
		return bad("'old-secret' must not be given when activating keyslots")
	}
	at := -1
	if a.hasSlot {
		if a.slot < 0 || a.slot >= slots {
			return bad("Invalid keyslot %d specified, must be between 0 and %d", uint32(a.slot), slots-1)
		}
		at = int(a.slot)
	}
	for i := 0; i < slots && at < 0; i++ {
		if !v.h.slots[i].active {
			at = i
		}
	}
	switch {
	case at < 0:
		return bad("Can't add a keyslot - all keyslots are in use")
	case !force && v.h.slots[at].active:
		return bad("Refusing to overwrite active keyslot %d - please erase it first", at)
	}
	if !a.hasSecret {
		a.secret = v.secret
	}
	old, err := Password(g, "", a.secret)
	if err != nil {
		return err
	}
	key, err := v.findKey(ctx, s, old)
	if err != nil {
		return hinted(err, "Failed to retrieve the master key")
	}
	defer clear(key)
	password, err := Password(g, "", a.newSecret)
	if err != nil {
		return err
	}
	return v.storeKey(ctx, s, at, password, key, a.iterTime)
}

// erase removes passwords.
func (v *Volume) erase(ctx context.Context, g *block.Graph, s Store, a *amendment, force bool) error {
	switch {
	case a.hasNew:
		return bad("'new-secret' must not be given when erasing keyslots")
	case a.hasTime:
		return bad("'iter-time' must not be given when erasing keyslots")
	case a.hasSecret:
		return bad("'secret' must not be given when erasing keyslots")
	}
	var old []byte
	var err error
	if a.hasOld {
		if old, err = Password(g, "", a.oldSecret); err != nil {
			return err
		}
	}
	switch {
	case a.hasSlot:
		return v.eraseSlot(ctx, s, a, old, force)
	case !a.hasOld:
		return bad("To erase keyslot(s), either explicit keyslot index or the password currently contained in them must be given")
	}
	var match []int
	for i := range v.h.slots {
		key, err := v.loadKey(ctx, s, i, old)
		if err != nil {
			return err
		}
		if key != nil {
			match = append(match, i)
		}
	}
	switch {
	case len(match) == 0:
		return bad("No keyslots match given (old) password for erase operation")
	case !force && len(match) == v.h.active():
		return bad("All the active keyslots match the (old) password that was given and erasing them will erase all the data in the image " +
			"irreversibly - refusing operation")
	}
	for _, i := range match {
		if err := v.eraseKey(ctx, s, i); err != nil {
			return err
		}
	}
	return nil
}

// eraseSlot removes the password of one slot.
func (v *Volume) eraseSlot(ctx context.Context, s Store, a *amendment, old []byte, force bool) error {
	if a.slot < 0 || a.slot >= slots {
		return bad("Invalid keyslot %d specified, must be between 0 and %d", int32(a.slot), slots-1)
	}
	i := int(a.slot)
	if a.hasOld {
		key, err := v.loadKey(ctx, s, i, old)
		if err != nil {
			return err
		}
		if key == nil {
			return bad("Given keyslot %d doesn't contain the given old password for erase operation", i)
		}
	}
	switch {
	case !force && !v.h.slots[i].active:
		return bad("Given keyslot %d is already erased (inactive) ", i)
	case !force && v.h.active() == 1:
		return bad("Attempt to erase the only active keyslot %d which will erase all the data in the image irreversibly - refusing operation", i)
	}
	return v.eraseKey(ctx, s, i)
}
