/** A script's first line is its name; then blocks of commands, `----`, transcript, apart by blank lines. Between script/*.txt of a room and what runs its commands. */

/** The text again, each block with what came of its commands; lines that begin with # are notes. */
export const playScript = async (text: string, run: (command: string) => string | Promise<string>): Promise<string> => {
  const [name, ...blocks] = text.trimEnd().split(/\n\n+/)
  const played = [name!]
  for (const block of blocks) {
    const commands = block.split("\n----")[0]!.split("\n")
    const transcript: Array<string> = []
    for (const command of commands) {
      if (!command.startsWith("#")) transcript.push(await run(command))
    }
    played.push([...commands, "----", ...transcript.filter((lines) => lines !== "")].join("\n"))
  }
  return `${played.join("\n\n")}\n`
}
