package host

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
)

// ErrPlatform says that a plugin cannot work on this system.
var ErrPlatform = errors.New("not on this system")

// users lists the profiles that the registry knows, local and of a domain.
func users(ctx context.Context, warn func(error), emit func(*userRow) bool) error {
	const list = `SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`
	const access = registry.READ | registry.WOW64_64KEY
	k, err := registry.OpenKey(registry.LOCAL_MACHINE, list, access)
	if err != nil {
		return err
	}
	defer k.Close()
	sids, err := k.ReadSubKeyNames(-1)
	if err != nil {
		return err
	}
	for _, sid := range sids {
		if err := ctx.Err(); err != nil {
			return err
		}
		row := &userRow{UUID: sid, Uid: -1, Gid: -1}
		if _, rid, ok := cutLast(sid, "-"); ok {
			row.Uid, _ = strconv.ParseInt(rid, 10, 64)
		}
		p, err := registry.OpenKey(registry.LOCAL_MACHINE, list+`\`+sid, access)
		if err != nil {
			warn(fmt.Errorf("profile %s: %w", sid, err))
			continue
		}
		if dir, _, err := p.GetStringValue("ProfileImagePath"); err == nil {
			if row.Directory, err = registry.ExpandString(dir); err != nil {
				row.Directory = dir
			}
		}
		_ = p.Close()
		row.Name, row.Description = accountName(sid)
		if row.Name == "" {
			_, row.Name, _ = cutLast(row.Directory, `\`)
		}
		if !emit(row) {
			return nil
		}
	}
	return nil
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// accountName looks a SID up: its name, and the domain it belongs to.
func accountName(text string) (name, domain string) {
	sid, err := windows.StringToSid(text)
	if err != nil {
		return "", ""
	}
	name, domain, _, err = sid.LookupAccount("")
	if err != nil {
		return "", ""
	}
	return name, domain
}

func groups(context.Context, func(error), func(*groupRow) bool) error {
	return fmt.Errorf("groups: %w", ErrPlatform)
}
