package cli

import (
	"fmt"
	"strconv"

	"goemu/internal/config"
)

// defaultBoot is hard disk, CD-ROM, floppy disk: "cad" as the BIOS has always had it.
const defaultBoot = "cad"

// Limits of the times of -boot.
const maxBootWait, maxBootRestart = 0xffff, 0xffff

// boot reads -boot.
func (p *parser) boot(v string) (err error) {
	o := &p.VM.BootOrder
	for _, pr := range config.ParseOpts(v, "order") {
		s := pr.Value.(string)
		switch pr.Key {
		case "order":
			o.Order, err = s, checkBootDevices(s)
		case "once":
			o.Once, err = s, checkBootDevices(s)
		case "menu":
			o.Menu, err = parseBool("boot."+pr.Key, s)
		case "strict":
			o.Strict, err = parseBool("boot."+pr.Key, s)
		case "splash":
			o.Splash = s
		case "splash-time":
			o.Wait, err = bootTime(pr.Key, s, maxBootWait)
		case "reboot-timeout":
			o.Restart, err = bootTime(pr.Key, s, maxBootRestart)
		default:
			err = fmt.Errorf("Parameter 'boot.%s' is unexpected", pr.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) noFloppyCheck(string) error { p.VM.BootOrder.NoCheck = true; return nil }

// checkBootDevices checks the letters of boot devices.
func checkBootDevices(s string) error {
	var seen [256]bool
	for _, c := range []byte(s) {
		switch {
		case c < 'a' || c > 'p':
			return fmt.Errorf("Invalid boot device '%c'", c)
		case seen[c]:
			return fmt.Errorf("Boot device '%c' was given twice", c)
		}
		seen[c] = true
	}
	return nil
}

func bootTime(name, s string, limit int64) (int, error) {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("Parameter 'boot.%s' expects an int64 value or range", name)
	}
	if n < -1 || n > limit {
		return 0, fmt.Errorf("%s is invalid,it should be a value between 0 and %d", name, limit)
	}
	return int(n), nil
}
