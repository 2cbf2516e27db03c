// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/embedded-user-operator/embedded-user-operator/test/testenv"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset|href)="([^"]+)"`)
	heading = regexp.MustCompile(`(?m)^#{1,6} +(.*)$`)
	target  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	code    = regexp.MustCompile("`[^`\n]*`")
)

// anchors returns the anchors that GitHub gives to the headings of a page.
func (p page) anchors() map[string]bool {
	anchors := map[string]bool{}
	for _, match := range heading.FindAllStringSubmatch(p.prose, -1) {
		slug := slug(match[1])
		for anchor, n := slug, 1; ; n++ {
			if !anchors[anchor] {
				anchors[anchor] = true
				break
			}
			anchor = slug + "-" + strconv.Itoa(n)
		}
	}
	return anchors
}

// slug returns the anchor of a heading.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', unicode.IsLetter(r), unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return -1
	}, target.ReplaceAllString(heading, "$1"))
}

// TestLinks_Resolve checks relative links and their anchors. It does not use the network.
func TestLinks_Resolve(t *testing.T) {
	pages := loadPages(t)
	anchors := map[string]map[string]bool{}
	for _, p := range pages {
		anchors[p.path] = p.anchors()
	}
	checked := 0
	for _, p := range pages {
		for _, match := range link.FindAllStringSubmatch(code.ReplaceAllString(p.prose, ""), -1) {
			to := match[1] + match[2]
			if strings.Contains(to, "://") || strings.HasPrefix(to, "mailto:") {
				continue
			}
			checked++
			file, anchor, hasAnchor := strings.Cut(to, "#")
			full := p.path
			if file != "" {
				full = path.Join(path.Dir(p.path), file)
			}
			if _, err := os.Stat(testenv.Root(full)); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s does not exist", p.path, to)
			} else if hasAnchor && !anchors[full][anchor] {
				t.Errorf("%s: %s has no heading for #%s", p.path, full, anchor)
			}
		}
	}
	if checked < 50 {
		t.Errorf("found only %d links", checked)
	}
}
