// SPDX-License-Identifier: Apache-2.0
//
// The target description: what registers there are, in the XML that gdb and lldb read (gdb manual, appendix "Target
// Descriptions"). Features with gdb's own names are required to have gdb's registers in gdb's order.

enum TargetDescription {
    static let xml: String = {
        var number = 0
        func registers(_ list: [DebugRegister], group: String) -> String {
            list.map { register in
                defer { number += 1 }
                let group = register.bits == 80 || isX87(register) ? "float" : group
                return
                    "<reg name=\"\(register.name)\" bitsize=\"\(register.bits)\" type=\"\(register.type)\" "
                    + "regnum=\"\(number)\" group=\"\(group)\"\(role(register))/>"
            }.joined(separator: "\n")
        }
        return """
            <?xml version="1.0"?>
            <!DOCTYPE target SYSTEM "gdb-target.dtd">
            <target version="1.0">
            <architecture>i386</architecture>
            <feature name="org.gnu.gdb.i386.core">
            \(flags("i386_eflags", eflags))
            \(registers(DebugRegister.core, group: "general"))
            </feature>
            <feature name="org.gnu.gdb.i386.sse">
            \(vectors)
            \(flags("i386_mxcsr", mxcsr))
            \(registers(DebugRegister.sse, group: "vector"))
            </feature>
            <feature name="org.lguest.system">
            \(registers(DebugRegister.system, group: "system"))
            </feature>
            </target>
            """
    }()

    private static func isX87(_ register: DebugRegister) -> Bool {
        if case .x87 = register.kind { return true }
        return false
    }

    /// What lldb wants to know about a register's part; gdb does not look at it.
    private static func role(_ register: DebugRegister) -> String {
        switch register.name {
        case "eip": " generic=\"pc\""
        case "esp": " generic=\"sp\""
        case "ebp": " generic=\"fp\""
        case "eflags": " generic=\"flags\""
        default: ""
        }
    }

    private static let eflags = [
        ("CF", 0), ("", 1), ("PF", 2), ("AF", 4), ("ZF", 6), ("SF", 7), ("TF", 8), ("IF", 9), ("DF", 10),
        ("OF", 11), ("NT", 14), ("RF", 16), ("VM", 17), ("AC", 18), ("VIF", 19), ("VIP", 20), ("ID", 21),
    ]

    private static let mxcsr = [
        ("IE", 0), ("DE", 1), ("ZE", 2), ("OE", 3), ("UE", 4), ("PE", 5), ("DAZ", 6), ("IM", 7), ("DM", 8),
        ("ZM", 9), ("OM", 10), ("UM", 11), ("PM", 12), ("FZ", 15),
    ]

    private static func flags(_ id: String, _ bits: [(String, Int)]) -> String {
        let fields = bits.map { "<field name=\"\($0.0)\" start=\"\($0.1)\" end=\"\($0.1)\"/>" }
        return (["<flags id=\"\(id)\" size=\"4\">"] + fields + ["</flags>"]).joined(separator: "\n")
    }

    /// An XMM register and the ways to look at it.
    private static let vectors = """
        <vector id="v4f" type="ieee_single" count="4"/>
        <vector id="v2d" type="ieee_double" count="2"/>
        <vector id="v16i8" type="int8" count="16"/>
        <vector id="v8i16" type="int16" count="8"/>
        <vector id="v4i32" type="int32" count="4"/>
        <vector id="v2i64" type="int64" count="2"/>
        <union id="vec128">
        <field name="v4_float" type="v4f"/>
        <field name="v2_double" type="v2d"/>
        <field name="v16_int8" type="v16i8"/>
        <field name="v8_int16" type="v8i16"/>
        <field name="v4_int32" type="v4i32"/>
        <field name="v2_int64" type="v2i64"/>
        <field name="uint128" type="uint128"/>
        </union>
        """
}
