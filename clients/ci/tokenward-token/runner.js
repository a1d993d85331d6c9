// What the runner of GitHub documents: inputs are variables, outputs go to files, and commands are lines of the output.

const { randomUUID } = require('node:crypto');
const fs = require('node:fs');

/** An input of the step. */
exports.input = (name) => (process.env[`INPUT_${name.toUpperCase()}`] ?? '').trim();

/** Keeps a text out of the logs from here on. */
exports.mask = (text) => console.log(`::add-mask::${text}`);

const escaped = (text) => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
exports.warn = (text) => console.log(`::warning::${escaped(text)}`);

function append(file, name, value) {
  // A value cannot end itself: nobody knows the line that does.
  const end = `end_${randomUUID()}`;
  fs.appendFileSync(process.env[file], `${name}<<${end}\n${value}\n${end}\n`);
}

exports.output = (name, value) => append('GITHUB_OUTPUT', name, value);
exports.variable = (name, value) => append('GITHUB_ENV', name, value);
/** What the post step finds as `STATE_name`. */
exports.state = (name, value) => append('GITHUB_STATE', name, value);

exports.fail = (error) => {
  console.log(`::error::${escaped(error.message)}`);
  process.exitCode = 1;
};
