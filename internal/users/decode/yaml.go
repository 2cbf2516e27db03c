// SPDX-License-Identifier: Apache-2.0

package decode

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/embedded-user-operator/embedded-user-operator/internal/users"
)

// nodeBytes is more than the memory that a unit of weight takes besides its text: 168 to 175 bytes (measured).
const nodeBytes = 180

// readYAML returns a function that reads a list whose tree takes at most so many bytes.
func readYAML(memory int64) func(*bufio.Reader, *rows) error {
	return func(text *bufio.Reader, out *rows) error {
		whole, err := io.ReadAll(text)
		if err != nil {
			return err //nolint:wrapcheck // a listError, or that of a context
		}
		if int64(weight(whole)*nodeBytes+2*len(whole)) > memory { // the text is in the tree again
			return ErrLimit
		}
		if atLineStart := []byte("\n" + bom); bytes.Contains(whole, atLineStart) {
			whole = bytes.ReplaceAll(whole, atLineStart, []byte("\n"))
		}
		list, err := parseYAML(whole)
		if err != nil {
			return err
		}
		for i, item := range list.Content {
			list.Content[i] = nil // frees it, while visit may keep its user
			out.isList = out.isList || hasKey(item)
			if user, problem := userOf(item); problem != "" {
				err = out.bad(item.Line, problem)
			} else {
				err = out.add(item.Line, user)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// weight estimates the number of nodes and comments in a text, which ends lines with LF, or less usual breaks.
func weight(text []byte) int {
	sum := bytes.Count(text, []byte("\u0085")) + bytes.Count(text, []byte("\u2028")) + bytes.Count(text, []byte("\u2029"))
	for i, c := range text {
		switch c {
		case '\n', ':', '?', '[', '{':
			sum++
		case ',', '#': // a comma may imply a key and a value, and the parser stores a comment twice
			sum += 2
		case '-': // begins no item before a letter or a digit
			if i+1 == len(text) || !isAlphanumeric(text[i+1]) {
				sum++
			}
		}
	}
	return sum
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// parseYAML returns the sequence in a text. It does not resolve aliases, so the tree is no larger than the text allows.
func parseYAML(text []byte) (list *yaml.Node, err error) {
	// The parser may panic on unexpected input, which must not crash the operator.
	defer func() {
		if recover() != nil {
			list, err = nil, unreadableYAML(nil)
		}
	}()
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, another yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, listError("the YAML is empty; write a sequence of users, or [] for none")
	} else if err != nil {
		return nil, unreadableYAML(err)
	}
	list = document.Content[0]
	if list.Kind != yaml.SequenceNode {
		return nil, listError(at(list.Line, "the YAML is not a sequence; begin each user with \"- username: \" at the start of a line"))
	}
	if err := decoder.Decode(&another); err == nil {
		return nil, listError(at(another.Line, "the YAML has a second document; write one sequence, without --- in between"))
	} else if !errors.Is(err, io.EOF) {
		return nil, unreadableYAML(err)
	}
	return list, nil
}

// unreadableYAML translates an error of the parser, which may quote the list.
func unreadableYAML(err error) error {
	line := 0
	if err != nil {
		if _, scanErr := fmt.Sscanf(err.Error(), "yaml: line %d:", &line); scanErr != nil {
			line = 0 // not every error has a line
		}
	}
	return listError(at(line, "the YAML has a syntax error; check the indentation, quotes and colons"))
}

// hasKey reports whether an item of the sequence is a mapping with a key of a user.
func hasKey(item *yaml.Node) bool {
	if item.Kind != yaml.MappingNode {
		return false
	}
	for i := 0; i < len(item.Content); i += 2 {
		if name := item.Content[i]; name.Kind == yaml.ScalarNode && (name.Value == fieldUsername || name.Value == fieldFullName) {
			return true
		}
	}
	return false
}

// otherTypes are the types of values without quotes that look like a text and are none: YAML turns 00123 into a number, and Helm
// a long number into 1.2345678e+07.
var otherTypes = []string{"!!int", "!!float", "!!bool", "!!timestamp"}

// userOf returns the user in an item of the sequence, or what is wrong with it.
func userOf(item *yaml.Node) (user users.User, problem string) {
	if item.Kind != yaml.MappingNode {
		return users.User{}, "not a mapping; write username: and fullName:, without an alias"
	}
	var met fields
	for i := 0; i+1 < len(item.Content); i += 2 {
		name, value := item.Content[i], item.Content[i+1]
		if name.Kind != yaml.ScalarNode {
			return users.User{}, problemUnknown
		}
		field, problem := met.field(&user, []byte(name.Value))
		switch {
		case problem != "":
			return users.User{}, problem
		case value.Kind != yaml.ScalarNode:
			return users.User{}, "a field is not text; write its value after the colon, without an alias"
		case value.Style&yaml.TaggedStyle != 0 && value.Tag != "!!str":
			// A tag such as !!binary changes the meaning of the text.
			return users.User{}, "a field has a tag; write its value without one"
		case value.Style&yaml.TaggedStyle == 0 && slices.Contains(otherTypes, value.Tag):
			return users.User{}, "a field is a number, a date, true or false; put its value in quotes"
		case value.Tag != "!!null":
			*field = value.Value
		}
	}
	return user, ""
}
